"""The maths of calibration: known distributions, known data, and what cannot be calibrated."""

import math
import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from edgeneuro.domain.calibration import ConfidenceMap, Reliability, log_odds
from edgeneuro.domain.reliability import (
    BINS,
    FOLDS,
    MIN_QUESTIONS,
    Answer,
    fold_of,
    reliability,
)


def sampled(
    n: int, share_of: Callable[[float], float], *, seed: int = 1, low: float = 0.3
) -> list[Answer]:
    """Answers whose confidences lie between `low` and 1, each right with the probability that
    `share_of` gives for its confidence."""
    drawn = random.Random(seed)
    answers = []
    for number in range(n):
        confidence = low + (1 - low) * drawn.random()
        right = drawn.random() < share_of(confidence)
        answers.append(Answer(confidence, right, fold_of(f"question {number}")))
    return answers


def calibrated(answers: list[Answer]) -> tuple[Reliability, ConfidenceMap]:
    found = reliability(answers)
    assert found.reason is None, found.message
    assert found.slope is not None and found.intercept is not None
    return found, ConfidenceMap(found.slope, found.intercept)


def eces(found: Reliability) -> tuple[float, float]:
    assert found.before is not None and found.after is not None
    return found.before.ece, found.after.ece


def test_what_is_calibrated_already_stays() -> None:
    found, fitted = calibrated(sampled(5_000, lambda confidence: confidence))
    assert fitted.slope == pytest.approx(1, abs=0.08)
    assert fitted.intercept == pytest.approx(0, abs=0.08)
    for confidence in (0.3, 0.5, 0.8, 0.95):
        assert fitted.apply(confidence) == pytest.approx(confidence, abs=0.03)
    before, after = eces(found)
    assert before < 0.03 and after < 0.03


def test_the_overconfident_are_corrected_also_on_questions_that_were_not_learned_from() -> None:
    """Right by the sigmoid of half the log-odds less 0.5: a confidence of 0.95 is right in 73 %."""
    truth = ConfidenceMap(0.5, -0.5)
    found, fitted = calibrated(sampled(4_000, truth.apply))
    assert fitted.slope == pytest.approx(0.5, abs=0.07)
    assert fitted.intercept == pytest.approx(-0.5, abs=0.1)
    before, after = eces(found)
    assert before > 0.15
    assert after < 0.03
    assert found.before is not None and found.after is not None
    assert found.after.brier < found.before.brier - 0.02


def test_the_figure_after_is_not_that_of_the_answers_learned_from() -> None:
    """By hand: each fold by the fit to the others."""
    answers = sampled(200, ConfidenceMap(0.4, 0.3).apply)
    found, whole = calibrated(answers)
    squares, flattered = [], []
    for fold in range(FOLDS):
        _, others = calibrated([each for each in answers if each.fold != fold])
        own = [each for each in answers if each.fold == fold]
        squares += [(others.apply(round(one.confidence, 4)) - one.right) ** 2 for one in own]
        flattered += [(whole.apply(round(one.confidence, 4)) - one.right) ** 2 for one in own]
    assert found.after is not None
    assert found.after.brier == pytest.approx(sum(squares) / 200, abs=1e-5)
    assert found.after.brier > sum(flattered) / 200 + 1e-4


def test_the_fit_is_the_optimum_of_platts_targets() -> None:
    answers = sampled(300, lambda confidence: 0.2 + 0.6 * confidence)
    _, fitted = calibrated(answers)
    right = sum(each.right for each in answers)
    targets = {True: (right + 1) / (right + 2), False: 1 / (300 - right + 2)}

    def loss(slope: float, intercept: float) -> float:
        total = 0.0
        for each in answers:
            share = ConfidenceMap(slope, intercept).apply(round(each.confidence, 4))
            target = targets[each.right]
            total -= target * math.log(share) + (1 - target) * math.log(1 - share)
        return total

    least = loss(fitted.slope, fitted.intercept)
    for by_slope, by_intercept in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, -1), (-1, 1)):
        assert loss(fitted.slope + by_slope * 1e-3, fitted.intercept + by_intercept * 1e-3) > least


def test_the_order_of_the_answers_is_no_matter() -> None:
    answers = sampled(500, lambda confidence: 0.9 * confidence)
    assert reliability(answers) == reliability(list(reversed(answers)))


@pytest.mark.parametrize("confidence", [0.0, 1.0])
def test_certain_confidences_are_finite_log_odds(confidence: float) -> None:
    """Upstream rounds: 1 is all from 0.99995 on."""
    assert log_odds(confidence) == pytest.approx(log_odds(abs(confidence - 0.00005)))
    answers = [
        each._replace(confidence=confidence, right=confidence > 0.5) if number % 4 == 0 else each
        for number, each in enumerate(sampled(400, lambda given: given))
    ]
    _, fitted = calibrated(answers)
    assert 0 < fitted.apply(confidence) < 1
    for slope in (1e3, -1e3):
        assert 0 <= ConfidenceMap(slope, 0.0).apply(confidence) <= 1


def test_answers_that_the_confidence_separates_give_a_finite_calibration() -> None:
    answers = [Answer(0.5 + 0.4 * (n % 2), bool(n % 2), fold_of(str(n))) for n in range(200)]
    found, fitted = calibrated(answers)
    assert fitted.apply(0.9) == pytest.approx(101 / 102, abs=1e-6)
    assert fitted.apply(0.5) == pytest.approx(1 / 102, abs=1e-6)
    assert found.after is not None and found.after.ece < 0.02


def repeated(confidences: list[float], rights: list[bool]) -> list[Answer]:
    return [
        Answer(confidence, right, fold_of(f"question {number}"))
        for number, (confidence, right) in enumerate(zip(confidences, rights, strict=True))
    ]


ALTERNATING = [bool(number % 2) for number in range(200)]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([], "too_few"),
        (sampled(MIN_QUESTIONS - 1, lambda confidence: confidence), "too_few"),
        (sampled(200, lambda confidence: 1.0), "all_right"),
        (sampled(200, lambda confidence: 0.0), "all_wrong"),
        (repeated([0.9] * 200, ALTERNATING), "one_confidence"),
        (sampled(400, lambda confidence: 1 - confidence), "slope"),
        # One wrong answer: without its fold all are right.
        (repeated([0.9, 0.4] * 100, [*[True] * 199, False]), "unstable"),
    ],
)
def test_what_cannot_be_calibrated(answers: list[Answer], reason: str) -> None:
    found = reliability(answers)
    assert (found.reason, found.n, found.after) == (reason, len(answers), None)
    assert (found.slope, found.intercept) == (None, None)
    assert found.message is not None and str(len(answers)) in found.message
    assert (found.before is None) == (not answers)


def test_as_many_as_are_needed_are_enough() -> None:
    found = reliability(sampled(MIN_QUESTIONS, lambda confidence: confidence))
    assert (found.reason, found.n) == (None, MIN_QUESTIONS)


def test_bins_have_equally_many_answers() -> None:
    found = reliability(sampled(1_000, lambda confidence: confidence))
    assert found.before is not None
    bins = found.before.bins
    assert len(bins) == BINS
    assert all(95 <= each.n <= 105 for each in bins), [each.n for each in bins]
    assert all(one.high < next_.low for one, next_ in pairwise(bins))
    for each in bins:
        assert each.low <= each.confidence <= each.high
        assert each.accuracy.low is not None and each.accuracy.high is not None
        assert each.accuracy.low < each.accuracy.right / each.n < each.accuracy.high


def test_equal_confidences_stay_in_one_bin_and_the_figures_are_those_of_a_hand() -> None:
    confidences = [0.9] * 150 + [0.6] * 50
    rights = [number % 3 > 0 for number in range(150)] + [number % 5 < 2 for number in range(50)]
    found = reliability(repeated(confidences, rights)).before
    assert found is not None
    low, high = found.bins
    assert (low.n, low.confidence, low.accuracy.right) == (50, 0.6, 20)
    assert (high.n, high.confidence, high.accuracy.right) == (150, 0.9, 100)
    assert found.ece == pytest.approx((50 * 0.2 + 150 * (0.9 - 100 / 150)) / 200, abs=1e-6)
    squares = 100 * 0.01 + 50 * 0.81 + 20 * 0.16 + 30 * 0.36
    assert found.brier == pytest.approx(squares / 200, abs=1e-6)


def test_a_version_is_that_of_the_map() -> None:
    assert ConfidenceMap(0.5, 0.1).version == ConfidenceMap(0.5, 0.1).version
    assert ConfidenceMap(0.5, 0.1).version != ConfidenceMap(0.5, 0.2).version
