"""The sequential test over audit samples: how rarely it errs, and how soon it sees a change. The
figures are those of docs/learning.md."""

import random

import pytest

from edgeneuro.domain.agreement_test import BLOCK_SAMPLES, LIMIT, AgreementTest, evidence_of


def rejected_after(bound: float, *rates: tuple[int, float], seed: int) -> int | None:
    """The sample with which the bound is rejected; `rates` are numbers of samples, each with the
    probability that one agrees."""
    chance, test, number = random.Random(seed), AgreementTest(bound), 0
    for count, rate in rates:
        for _ in range(count):
            if number % BLOCK_SAMPLES == 0:
                test.begin_block()
            agrees = chance.random() < rate
            test.add(int(agrees), int(not agrees))
            number += 1
            if test.rejected:
                return number
    return None


@pytest.mark.parametrize("bound", [0.85, 0.91, 0.96])
def test_at_most_one_of_a_hundred_is_disabled_in_its_life_while_it_is_at_the_bound(
    bound: float,
) -> None:
    runs = [rejected_after(bound, (1_000, bound), seed=seed) for seed in range(300)]
    assert sum(each is not None for each in runs) <= 3


@pytest.mark.parametrize(
    ("falls_to", "good", "most"),
    # The expected agreement is 0.93, and the bound two points below it.
    [(0.81, 0, 150), (0.81, 500, 280), (0.71, 0, 45), (0.71, 500, 80), (0.51, 500, 30)],
)
def test_a_fall_of_the_agreement_is_seen_within_so_many_samples(
    falls_to: float, good: int, most: int
) -> None:
    """The median of 60 runs."""
    runs = [
        (rejected_after(0.91, (good, 0.93), (2_000, falls_to), seed=seed) or 9_999) - good
        for seed in range(60)
    ]
    assert 0 < sorted(runs)[30] <= most


def test_the_evidence_comes_from_the_sums_of_blocks() -> None:
    assert evidence_of([], 0.9) == 0
    assert evidence_of([(25, 25)] * 8, 0.9) < 1
    fell = [(25, 24)] * 8 + [(25, 10), (25, 10)]
    assert evidence_of(fell, 0.9) > LIMIT
    assert evidence_of(fell[:8], 0.9) < LIMIT
    test = AgreementTest(0.9)
    for samples, agreed in fell:
        test.begin_block()
        for number in range(samples):
            test.add(int(number < agreed), int(number >= agreed))
    assert test.evidence == pytest.approx(evidence_of(fell, 0.9))
