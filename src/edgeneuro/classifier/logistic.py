"""Logistic regression with three weights by Newton's method, for calibration.py. No sum(): it
rounds floats differently from Python 3.12 on."""

from collections.abc import Sequence
from math import exp, log

Vector = tuple[float, float, float]

_RIDGE = 1e-3  # against perfect separation
_STEPS = 25
_HALVINGS = 20
_DIGITS = 6  # the last ones of exp() differ between machines
_BOUND = 30.0


def logistic(value: float) -> float:
    return 1 / (1 + exp(-max(-_BOUND, min(_BOUND, value))))


def dot(one: Sequence[float], other: Sequence[float]) -> float:
    return one[0] * other[0] + one[1] * other[1] + one[2] * other[2]


def fit(rows: Sequence[Vector], truth: Sequence[bool], weights: Sequence[float]) -> Vector:
    """The weights of maximum likelihood, with a small ridge penalty."""
    found: Vector = (0.0, 1.0, 1.0)
    loss = _loss(found, rows, truth, weights)
    for _ in range(_STEPS):
        step = _newton_step(found, rows, truth, weights)
        for halving in range(_HALVINGS):
            part = 0.5**halving
            tried = (
                found[0] + part * step[0],
                found[1] + part * step[1],
                found[2] + part * step[2],
            )
            if (tried_loss := _loss(tried, rows, truth, weights)) < loss:
                break
        else:
            break  # nothing is better
        found, loss = tried, tried_loss
    return round(found[0], _DIGITS), round(found[1], _DIGITS), round(found[2], _DIGITS)


def _loss(
    at: Vector, rows: Sequence[Vector], truth: Sequence[bool], weights: Sequence[float]
) -> float:
    total = _RIDGE / 2 * dot(at, at)
    for row, true, weight in zip(rows, truth, weights, strict=True):
        value = dot(at, row)
        total -= weight * log(logistic(value if true else -value))
    return total


def _newton_step(
    at: Vector, rows: Sequence[Vector], truth: Sequence[bool], weights: Sequence[float]
) -> list[float]:
    slope = [-_RIDGE * value for value in at]
    bend = [[_RIDGE if i == j else 0.0 for j in range(3)] for i in range(3)]
    for row, true, weight in zip(rows, truth, weights, strict=True):
        likely = logistic(dot(at, row))
        pull, stiffness = weight * (true - likely), weight * likely * (1 - likely)
        for i in range(3):
            slope[i] += pull * row[i]
            for j in range(3):
                bend[i][j] += stiffness * row[i] * row[j]
    return _solve(bend, slope)


def _solve(matrix: list[list[float]], right: Sequence[float]) -> list[float]:
    """Three equations, by Cramer's rule."""
    whole = _determinant(matrix)
    columns = [
        [[right[i] if j == at else matrix[i][j] for j in range(3)] for i in range(3)]
        for at in range(3)
    ]
    return [_determinant(column) / whole for column in columns]


def _determinant(m: Sequence[Sequence[float]]) -> float:
    return (
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1])
        - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
        + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    )
