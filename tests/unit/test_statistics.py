"""Figures that can be worked out by hand, and what must hold of any."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeneuro.domain.statistics import (
    answers_needed,
    binomial_tail,
    difference_interval,
    difference_lower_bound,
    macro_f1,
    mcnemar,
    mcnemar_worse,
    paired_score,
    questions_needed,
    share_lower_bound,
    upper_quantile,
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


@pytest.mark.parametrize(("alpha", "z"), [(0.05, 1.644854), (0.025, 1.959964), (0.2, 0.841621)])
def test_quantiles(alpha: float, z: float) -> None:
    assert upper_quantile(alpha) == pytest.approx(z, abs=1e-6)


def test_the_interval_of_the_literature() -> None:
    """44 pairs, of which one is discordant, as in Tango 1998."""
    low, high = difference_interval(0, 1, 44)
    assert (low, high) == pytest.approx((-0.0596, 0.1181), abs=5e-4)


def test_without_discordant_pairs_the_bound_depends_on_their_number() -> None:
    z2 = upper_quantile(0.05) ** 2
    assert difference_lower_bound(0, 0, 100, alpha=0.05) == pytest.approx(-z2 / (100 + z2))
    assert difference_lower_bound(0, 0, 0, alpha=0.05) == -1


def _pass_rate(total: int, lost: float, won: float, *, margin: float = 0.02) -> float:
    """The exact probability that a model is shown to be at most `margin` worse, if it loses and
    wins these shares of the questions: the sum over the outcomes that pass and are not vanishingly
    rare."""
    z = upper_quantile(0.05)
    whole = math.lgamma(total + 1)
    rate = 0.0
    first_most, second_most = (int(total * p + 8 * math.sqrt(total * p)) for p in (lost, won))
    for first in range(first_most + 1):
        for second in range(min(second_most, total - first) + 1):
            both = total - first - second
            chance = math.exp(
                whole
                - math.lgamma(first + 1)
                - math.lgamma(second + 1)
                - math.lgamma(both + 1)
                + first * math.log(lost)
                + second * math.log(won)
                + both * math.log(1 - lost - won)
            )
            if paired_score(first, second, total, difference=-margin) > z:
                rate += chance
    return rate


@pytest.mark.parametrize(
    ("total", "lost", "won", "least", "most"),
    [
        # 5 points worse; before, 72 % of such models passed at 100 questions.
        (100, 0.10, 0.05, 0.0, 0.02),
        (300, 0.10, 0.05, 0.0, 0.002),
        # At the margin itself: the level of the test.
        (300, 0.06, 0.04, 0.0, 0.06),
        # As good as the active model: few questions do not show it, enough do.
        (100, 0.02, 0.02, 0.10, 0.40),
        (620, 0.02, 0.02, 0.75, 0.90),
    ],
)
def test_how_often_a_model_passes(
    total: int, lost: float, won: float, least: float, most: float
) -> None:
    assert least <= _pass_rate(total, lost, won) <= most


def test_the_questions_that_are_needed_are_about_enough() -> None:
    needed = questions_needed(0.04, margin=0.02, alpha=0.05)
    assert 600 < needed < 640
    assert questions_needed(0.0, margin=0.02, alpha=0.05) == 133


@pytest.mark.parametrize(("right", "count"), [(0, 10), (74, 74), (95, 100), (4_900, 5_000)])
def test_the_bound_of_a_share_is_exact(right: int, count: int) -> None:
    bound = share_lower_bound(right, count, alpha=0.05)
    if not right:
        assert bound == 0
        return
    tail = sum(
        math.comb(count, k) * bound**k * (1 - bound) ** (count - k)
        for k in range(right, count + 1)
        if count <= 100
    )
    assert count > 100 or tail == pytest.approx(0.05)
    assert 0.99 * right / count - 0.06 < bound < right / count


@pytest.mark.parametrize(("errors", "needed"), [(0, 74), (1, 117), (5, 260)])
def test_the_answers_that_are_needed(errors: int, needed: int) -> None:
    found = answers_needed(errors, 0.96, alpha=0.05)
    assert found == pytest.approx(needed, abs=3)
    assert share_lower_bound(found - errors, found, alpha=0.05) >= 0.96
    assert share_lower_bound(found - 1 - errors, found - 1, alpha=0.05) < 0.96


def test_macro_f1_counts_every_label_alike() -> None:
    confusion = {"a": {"a": 90, "b": 10}, "b": {"b": 5, "a": 5}, "none": {"failed": 2}}
    f1_a, f1_b = 2 * 90 / (100 + 95), 2 * 5 / (10 + 15)
    assert macro_f1(confusion) == pytest.approx((f1_a + f1_b + 0) / 3)
    assert macro_f1({}) is None
    # A class that no label names is left out: it lowers the recall of the labelled one alone.
    assert macro_f1({"a": {"a": 1, "unlabelled": 1}}) == pytest.approx(2 / 3)
