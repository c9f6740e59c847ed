"""The curve behind the classifier's probabilities."""

import random

import pytest

from edgeneuro.classifier.logistic import Vector, dot, fit, logistic


def test_it_finds_the_curve_that_the_truth_was_drawn_from() -> None:
    chance, real = random.Random(1), (-1.0, 0.5, 2.0)
    rows: list[Vector] = [(1.0, chance.uniform(-2, 2), chance.uniform(0, 2)) for _ in range(20_000)]
    truth = [chance.random() < logistic(dot(real, row)) for row in rows]
    assert fit(rows, truth, [1.0] * len(rows)) == pytest.approx(real, abs=0.15)


@pytest.mark.parametrize("count", [0, 1, 200])
def test_what_is_separable_or_nearly_nothing_does_not_run_away(count: int) -> None:
    rows: list[Vector] = [(1.0, number - 100.0, 3.0) for number in range(count)]
    found = fit(rows, [row[1] > 0 for row in rows], [1.0] * count)
    assert all(abs(value) < 50 for value in found)
    for row in rows:
        assert (logistic(dot(found, row)) > 0.5) == (row[1] > 0)


def test_a_row_of_no_weight_does_not_count() -> None:
    chance = random.Random(2)
    rows: list[Vector] = [(1.0, chance.random(), chance.random()) for _ in range(500)]
    truth = [chance.random() < row[1] for row in rows]
    alone = fit(rows, truth, [1.0] * 500)
    assert fit(rows * 2, [*truth, *[True] * 500], [1.0] * 500 + [0.0] * 500) == alone
