"""Figures that can be worked out by hand, and what must hold of any."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeneuro.domain.statistics import (
    binomial_tail,
    difference_interval,
    macro_f1,
    mcnemar,
    mcnemar_worse,
    percentile,
)

COUNTS = st.integers(0, 400)


@pytest.mark.parametrize(
    ("only_first", "only_second", "worse", "both_sides"),
    [
        (0, 0, 1, 1),
        (5, 0, 1 / 32, 1 / 16),
        (0, 5, 1, 1 / 16),
        (8, 2, 56 / 1024, 112 / 1024),  # 45 + 10 + 1 of 2 ** 10
        (5, 5, 638 / 1024, 1),
    ],
)
def test_mcnemar(only_first: int, only_second: int, worse: float, both_sides: float) -> None:
    assert mcnemar_worse(only_first, only_second) == pytest.approx(worse)
    assert mcnemar(only_first, only_second) == pytest.approx(both_sides)


def test_a_large_one_is_exact_too() -> None:
    """Of 10,000 throws 5,099 heads or more, by the normal approximation with its correction."""
    assert binomial_tail(5_099, 10_000) == pytest.approx(0.0244, abs=0.0005)


@given(COUNTS, COUNTS)
def test_losing_more_never_speaks_for_it(only_first: int, only_second: int) -> None:
    p = mcnemar_worse(only_first, only_second)
    assert 0 <= p <= 1
    assert mcnemar_worse(only_first + 1, only_second) <= p + 1e-12


@given(COUNTS, COUNTS, COUNTS)
def test_the_interval_is_around_the_difference(first: int, second: int, alike: int) -> None:
    total = first + second + alike
    low, high = difference_interval(first, second, total)
    assert -1 <= low <= high <= 1
    other = difference_interval(second, first, total)
    assert (low, high) == pytest.approx((-other[1], -other[0]))
    if first == second:
        assert low <= 0 <= high


def test_macro_f1_counts_every_label_alike() -> None:
    confusion = {"a": {"a": 90, "b": 10}, "b": {"b": 5, "a": 5}, "none": {"failed": 2}}
    f1_a, f1_b = 2 * 90 / (100 + 95), 2 * 5 / (10 + 15)
    assert macro_f1(confusion) == pytest.approx((f1_a + f1_b + 0) / 3)
    assert macro_f1({}) is None


def test_percentiles_are_values_that_were_there() -> None:
    assert percentile([3, 1, 2], 50) == 2
    assert percentile([3, 1, 2], 95) == 3
    assert percentile([], 50) is None
