"""Logistic regression by Newton's method: with three weights for calibration.py, and with any
number for the switch of follow-ups. No sum(): it rounds floats differently from Python 3.12 on."""

from collections.abc import Sequence
from math import exp, log, sqrt

Vector = tuple[float, float, float]

_RIDGE = 1e-3  # against perfect separation
_STEPS = 25
_HALVINGS = 20
_DIGITS = 6  # the last ones of exp() differ between machines
_BOUND = 30.0
_MAX_STEP, _MIN_STEP = 3.0, 1e-6  # of one weight, in fit_around


def logistic(value: float) -> float:
    return 1 / (1 + exp(_bounded(-value)))


def _bounded(value: float) -> float:
    return value if -_BOUND < value < _BOUND else max(-_BOUND, min(_BOUND, value))


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


# Both go through all examples in each of up to 25 steps, so what the loop does is written out.
def _loss(
    at: Vector, rows: Sequence[Vector], truth: Sequence[bool], weights: Sequence[float]
) -> float:
    total = _RIDGE / 2 * dot(at, at)
    first, second, third = at
    for (x, y, z), true, weight in zip(rows, truth, weights, strict=True):
        value = first * x + second * y + third * z
        value = _bounded(-value if true else value)
        total -= weight * log(1 / (1 + exp(value)))
    return total


def _newton_step(
    at: Vector, rows: Sequence[Vector], truth: Sequence[bool], weights: Sequence[float]
) -> list[float]:
    first, second, third = at
    slope_x, slope_y, slope_z = -_RIDGE * first, -_RIDGE * second, -_RIDGE * third
    xx, yy, zz = _RIDGE, _RIDGE, _RIDGE
    xy = xz = yx = yz = zx = zy = 0.0
    for (x, y, z), true, weight in zip(rows, truth, weights, strict=True):
        likely = 1 / (1 + exp(_bounded(-(first * x + second * y + third * z))))
        pull, stiffness = weight * (true - likely), weight * likely * (1 - likely)
        slope_x += pull * x
        slope_y += pull * y
        slope_z += pull * z
        by_x, by_y, by_z = stiffness * x, stiffness * y, stiffness * z
        xx += by_x * x
        xy += by_x * y
        xz += by_x * z
        yx += by_y * x
        yy += by_y * y
        yz += by_y * z
        zx += by_z * x
        zy += by_z * y
        zz += by_z * z
    return _solve([[xx, xy, xz], [yx, yy, yz], [zx, zy, zz]], [slope_x, slope_y, slope_z])


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


def fit_around(
    prior: Sequence[float],
    rows: Sequence[Sequence[float]],
    truth: Sequence[bool],
    weights: Sequence[float],
) -> tuple[float, ...]:
    """The weights of maximum likelihood, drawn to `prior` as if each weight had been seen once: a
    few rows move them little."""
    found, size = list(prior), len(prior)
    for _ in range(_STEPS):
        slope = [before - now for before, now in zip(prior, found, strict=True)]
        matrix = [[float(row == column) for column in range(size)] for row in range(size)]
        for values, true, weight in zip(rows, truth, weights, strict=True):
            total = 0.0
            for one, other in zip(found, values, strict=True):
                total += one * other
            likely = 1 / (1 + exp(_bounded(-total)))
            pull, stiffness = weight * (true - likely), weight * likely * (1 - likely)
            for row in range(size):
                value = values[row]
                slope[row] += pull * value
                by_value, own = stiffness * value, matrix[row]
                for column in range(row + 1):
                    own[column] += by_value * values[column]
        step = _solved(matrix, slope)
        longest = max(abs(each) for each in step)
        part = min(1.0, _MAX_STEP / longest) if longest else 0.0
        found = [now + part * change for now, change in zip(found, step, strict=True)]
        if longest < _MIN_STEP:
            break
    return tuple(round(each, _DIGITS) for each in found)


def _solved(lower: list[list[float]], right: list[float]) -> list[float]:
    """The equations of a symmetric, positive definite matrix, of which the lower half is given, by
    Cholesky's decomposition."""
    size = len(right)
    for row in range(size):
        for column in range(row + 1):
            total = lower[row][column]
            for k in range(column):
                total -= lower[row][k] * lower[column][k]
            lower[row][column] = sqrt(total) if row == column else total / lower[column][column]
    found = list(right)
    for row in range(size):
        for k in range(row):
            found[row] -= lower[row][k] * found[k]
        found[row] /= lower[row][row]
    for row in reversed(range(size)):
        for k in range(row + 1, size):
            found[row] -= lower[k][row] * found[k]
        found[row] /= lower[row][row]
    return found
