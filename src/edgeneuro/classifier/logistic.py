"""Logistic regression by Newton's method: with three weights for calibration.py, and with any
number for the switch of follow-ups. No sum(): it rounds floats differently from Python 3.12 on."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]

_STEPS = 25
_HALVINGS = 20
_DIGITS = 6  # the last ones of exp() differ between machines
_NEGLIGIBLE = 1e-9  # step of a weight
_BOUND = 30.0
_MAX_STEP, _MIN_STEP = 3.0, 1e-6  # of one weight, in fit_around


@dataclass(frozen=True)
class Prior:
    """What is known of the weights before there is data: normal, without correlation. `precision`
    is the inverse of the variance."""

    mean: Vector
    precision: Vector


RIDGE = Prior((0.0, 0.0, 0.0), (1e-3, 1e-3, 1e-3))  # against perfect separation, no more
_START: Vector = (0.0, 1.0, 1.0)


def logistic(value: float) -> float:
    return 1 / (1 + exp(_bounded(-value)))


def _bounded(value: float) -> float:
    return value if -_BOUND < value < _BOUND else max(-_BOUND, min(_BOUND, value))


def dot(one: Sequence[float], other: Sequence[float]) -> float:
    return one[0] * other[0] + one[1] * other[1] + one[2] * other[2]


def fit(
    rows: Sequence[Vector],
    truth: Sequence[float],
    weights: Sequence[float],
    prior: Prior = RIDGE,
) -> Vector:
    """The most probable weights. `truth` is 0 or 1, or between them the share of a row that is
    true."""
    found = _START if prior is RIDGE else prior.mean
    loss = _loss(found, rows, truth, weights, prior)
    for _ in range(_STEPS):
        step = _newton_step(found, rows, truth, weights, prior)
        if max(map(abs, step)) < _NEGLIGIBLE:
            break  # a smaller step gains nothing that _DIGITS show
        for halving in range(_HALVINGS):
            part = 0.5**halving
            tried = (
                found[0] + part * step[0],
                found[1] + part * step[1],
                found[2] + part * step[2],
            )
            if (tried_loss := _loss(tried, rows, truth, weights, prior)) < loss:
                break
        else:
            break  # nothing is better
        found, loss = tried, tried_loss
    return round(found[0], _DIGITS), round(found[1], _DIGITS), round(found[2], _DIGITS)


def covariance(
    at: Vector, rows: Sequence[Vector], weights: Sequence[float], prior: Prior = RIDGE
) -> Matrix:
    """How uncertain these weights are: the inverse of the second derivatives there."""
    matrix, _ = _derivatives(at, rows, [0.0] * len(rows), weights, prior)
    columns = [_solve(matrix, [float(row == at) for row in range(3)]) for at in range(3)]
    first, second, third = ((columns[0][row], columns[1][row], columns[2][row]) for row in range(3))
    return first, second, third


# Both go through all examples in each of up to 25 steps, so what the loop does is written out.
def _loss(
    at: Vector,
    rows: Sequence[Vector],
    truth: Sequence[float],
    weights: Sequence[float],
    prior: Prior,
) -> float:
    total = 0.0
    for own, mean, precision in zip(at, prior.mean, prior.precision, strict=True):
        total += precision / 2 * (own - mean) * (own - mean)
    first, second, third = at
    for (x, y, z), true, weight in zip(rows, truth, weights, strict=True):
        value = _bounded(first * x + second * y + third * z)
        total += weight * (log(1 + exp(-value)) + (1 - true) * value)
    return total


def _newton_step(
    at: Vector,
    rows: Sequence[Vector],
    truth: Sequence[float],
    weights: Sequence[float],
    prior: Prior,
) -> list[float]:
    return _solve(*_derivatives(at, rows, truth, weights, prior))


def _derivatives(
    at: Vector,
    rows: Sequence[Vector],
    truth: Sequence[float],
    weights: Sequence[float],
    prior: Prior,
) -> tuple[list[list[float]], list[float]]:
    """The second ones of the loss, and the first ones with the other sign."""
    first, second, third = at
    slope_x, slope_y, slope_z = (
        precision * (mean - own)
        for own, mean, precision in zip(at, prior.mean, prior.precision, strict=True)
    )
    xx, yy, zz = prior.precision
    xy = xz = yz = 0.0
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
        yy += by_y * y
        yz += by_y * z
        zz += by_z * z
    return [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]], [slope_x, slope_y, slope_z]


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
