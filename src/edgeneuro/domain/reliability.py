"""How well confidences agree with the share of right answers, and their calibration by Platt
scaling. Pure and deterministic.

The calibration is the logistic regression of "right" on the log-odds of the confidence, with the
smoothed targets of J. Platt, Probabilistic Outputs for Support Vector Machines (1999), found by the
Newton method with backtracking of H.-T. Lin, C.-J. Lin and R. C. Weng, A Note on Platt's
Probabilistic Outputs for Support Vector Machines (Machine Learning 68, 2007). It has two
parameters, so some hundred answers are enough, and it keeps the order of confidences."""

import math
import zlib
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from edgeneuro.domain.analytics import accuracy_of
from edgeneuro.domain.calibration import (
    ConfidenceMap,
    NotCalibratable,
    Reliability,
    ReliabilityBin,
    ReliabilityTable,
    log_odds,
)

MIN_QUESTIONS = 100
FOLDS = 5
BINS = 10
_DECIMALS = 4  # of a confidence: as many as decision models give
_MAX_STEPS = 100
_GRADIENT = 1e-8  # of one answer, at the optimum
_SMALLEST_STEP = 1e-10
_SUFFICIENT = 1e-4  # of the expected decrease of the loss
_RIDGE = 1e-12  # so that the Hessian of almost equal confidences can be inverted


class Answer(NamedTuple):
    """The answer to one question; `fold` is fold_of() of the question's hash."""

    confidence: float
    right: bool
    fold: int


class _Group(NamedTuple):
    """Answers with the same confidence: how many were right and wrong."""

    confidence: float
    right: int
    wrong: int


def fold_of(query_hash: str) -> int:
    """Depends on the question alone, so it is the same in every evaluation."""
    return zlib.crc32(query_hash.encode()) % FOLDS


def reliability(answers: Sequence[Answer]) -> Reliability:
    """The reliability of the confidences, and their calibration or the reason why there is none."""
    n, groups = len(answers), _grouped(answers)
    before = _own_table(groups)
    if n < MIN_QUESTIONS:
        return refused(n, before, "too_few")
    fitted = _fit(groups)
    if not isinstance(fitted, ConfidenceMap):
        return refused(n, before, fitted)
    after = _cross_fitted(answers, start=fitted)
    if after is None:
        return refused(n, before, "unstable")
    return Reliability(
        n=n, before=before, after=after, slope=fitted.slope, intercept=fitted.intercept
    )


def confidence_table(answers: Sequence[Answer]) -> ReliabilityTable | None:
    """The table alone; None without answers."""
    return _own_table(_grouped(answers))


def refused(n: int, before: ReliabilityTable | None, reason: NotCalibratable) -> Reliability:
    message = _MESSAGES[reason].format(n=n, least=MIN_QUESTIONS)
    return Reliability(n=n, before=before, reason=reason, message=message)


_MESSAGES: dict[NotCalibratable, str] = {
    "too_few": "{n} answers have a confidence, at least {least} are required. Label more questions"
    " and evaluate again; a model that gives no confidence cannot be calibrated.",
    "all_right": "all {n} answers are right, so it is not known which confidence errors have."
    " Label harder questions and evaluate again.",
    "all_wrong": "all {n} answers are wrong. Check the agents' descriptions and the labels.",
    "one_confidence": "all {n} answers have the same confidence, so it does not tell right answers"
    " from wrong ones. Use a model with token probabilities (`logprobs`) or a decision model.",
    "slope": "a higher confidence does not mean more right answers ({n} answers), so no calibration"
    " keeps its order. Use a model with token probabilities (`logprobs`) or a decision model.",
    "unstable": "the calibration depends on few of the {n} answers: without one fifth of them a"
    " higher confidence does not mean more right answers. Label more questions and evaluate again.",
    "classifier": "a classifier is calibrated by its training.",
    "pipeline": "the confidences of a pipeline come from several stages. Evaluate the model itself"
    ' (`target` "models").',
}


def _fit(
    groups: Sequence[_Group], start: ConfidenceMap | None = None
) -> ConfidenceMap | NotCalibratable:
    """The calibration, or why these answers give none."""
    right, wrong = _counts(groups)
    if not wrong:
        return "all_right"
    if not right:
        return "all_wrong"
    if len(groups) == 1:
        return "one_confidence"
    fitted = fit_platt(groups, start)
    return fitted if fitted.slope > 0 else "slope"


def fit_platt(groups: Sequence[_Group], start: ConfidenceMap | None = None) -> ConfidenceMap:
    """The calibration of these answers. The problem is convex, so `start` only saves steps."""
    right, wrong = _counts(groups)
    target_right, target_wrong = (right + 1) / (right + 2), 1 / (wrong + 2)
    points = [
        (
            log_odds(group.confidence),
            group.right + group.wrong,
            group.right * target_right + group.wrong * target_wrong,
        )
        for group in groups
    ]
    found = start or ConfidenceMap(0.0, math.log((right + 1) / (wrong + 1)))
    state = _evaluate(points, found)
    for _ in range(_MAX_STEPS):
        if max(abs(state.by_slope), abs(state.by_intercept)) < _GRADIENT * (right + wrong):
            break
        slope, intercept, decrease = state.newton_step()
        size = 1.0
        while size >= _SMALLEST_STEP:
            tried = ConfidenceMap(found.slope - size * slope, found.intercept - size * intercept)
            tried_state = _evaluate(points, tried)
            if tried_state.loss < state.loss - _SUFFICIENT * size * decrease:
                break
            size /= 2
        else:
            break  # as near as the numbers allow
        found, state = tried, tried_state
    return found


class _State(NamedTuple):
    """The loss at a point, its gradient and its Hessian."""

    loss: float
    by_slope: float
    by_intercept: float
    slope_slope: float
    slope_intercept: float
    intercept_intercept: float

    def newton_step(self) -> tuple[float, float, float]:
        """What to subtract from slope and intercept, and how fast the loss falls that way."""
        determinant = self.slope_slope * self.intercept_intercept - self.slope_intercept**2
        slope = self.intercept_intercept * self.by_slope - self.slope_intercept * self.by_intercept
        intercept = self.slope_slope * self.by_intercept - self.slope_intercept * self.by_slope
        slope, intercept = slope / determinant, intercept / determinant
        return slope, intercept, self.by_slope * slope + self.by_intercept * intercept


def _evaluate(points: Sequence[tuple[float, int, float]], tried: ConfidenceMap) -> _State:
    """Each point: the log-odds, how many answers, the sum of their targets. One pass with few
    calls: a fit to 5,000 answers must not keep other requests waiting."""
    slope, intercept = tried.slope, tried.intercept
    exp, log1p = math.exp, math.log1p
    loss = by_slope = by_intercept = slope_intercept = 0.0
    slope_slope = intercept_intercept = _RIDGE
    for odds, count, target in points:
        value = slope * odds + intercept
        if value >= 0:  # the exponent is never positive, so it cannot overflow
            small = exp(-value)
            share = 1 / (1 + small)
            loss += count * (value + log1p(small)) - target * value
        else:
            small = exp(value)
            share = small / (1 + small)
            loss += count * log1p(small) - target * value
        error, weight = count * share - target, count * share * (1 - share)
        by_slope += error * odds
        by_intercept += error
        slope_slope += weight * odds * odds
        slope_intercept += weight * odds
        intercept_intercept += weight
    return _State(loss, by_slope, by_intercept, slope_slope, slope_intercept, intercept_intercept)


def _cross_fitted(answers: Sequence[Answer], *, start: ConfidenceMap) -> ReliabilityTable | None:
    """The table of all answers, each fold calibrated by the others; None if these give no
    calibration."""
    calibrated: list[tuple[float, _Group]] = []
    for fold in range(FOLDS):
        fitted = _fit(_grouped(each for each in answers if each.fold != fold), start)
        if not isinstance(fitted, ConfidenceMap):
            return None
        for group in _grouped(each for each in answers if each.fold == fold):
            own = group.confidence
            calibrated.append((own, group._replace(confidence=fitted.apply(own))))
    return _table(calibrated)


def _own_table(groups: Sequence[_Group]) -> ReliabilityTable | None:
    """None without answers."""
    return _table([(group.confidence, group) for group in groups]) if groups else None


def _table(groups: Iterable[tuple[float, _Group]]) -> ReliabilityTable:
    """Each group with the model's own confidence, by which bins are made: so they have the same
    answers before and after a calibration, and their figures can be compared. Bins have equally
    many answers: confidences of models lie close to 1, so that with bins of equal width almost all
    answers would be in the last one."""
    ordered = sorted(groups)
    total = sum(group.right + group.wrong for _, group in ordered)
    bins: dict[int, list[_Group]] = {}
    before = 0
    for _, equal in groupby(ordered, key=itemgetter(0)):
        found = [group for _, group in equal]
        count = sum(_counts(found))
        # By its middle answer, so that equal confidences stay in one bin.
        bins.setdefault(BINS * (2 * before + count) // (2 * total), []).extend(found)
        before += count
    shown = [_bin(each) for each in bins.values()]
    gaps = (each.n * abs(each.confidence - each.accuracy.right / each.n) for each in shown)
    squares = (
        each.right * (1 - each.confidence) ** 2 + each.wrong * each.confidence**2
        for _, each in ordered
    )
    return ReliabilityTable(
        ece=round(math.fsum(gaps) / total, 6),
        brier=round(math.fsum(squares) / total, 6),
        bins=shown,
    )


def _bin(groups: Sequence[_Group]) -> ReliabilityBin:
    right, wrong = _counts(groups)
    n = right + wrong
    mean = math.fsum(group.confidence * (group.right + group.wrong) for group in groups) / n
    return ReliabilityBin(
        low=round(min(group.confidence for group in groups), 6),
        high=round(max(group.confidence for group in groups), 6),
        n=n,
        confidence=round(mean, 6),
        accuracy=accuracy_of(right, n),
    )


def _grouped(answers: Iterable[Answer]) -> list[_Group]:
    """One group for each confidence, by confidence."""
    counts: dict[float, list[int]] = {}
    for each in answers:
        counts.setdefault(round(each.confidence, _DECIMALS), [0, 0])[not each.right] += 1
    return [_Group(confidence, *counts[confidence]) for confidence in sorted(counts)]


def _counts(groups: Iterable[_Group]) -> tuple[int, int]:
    right = wrong = 0
    for group in groups:
        right += group.right
        wrong += group.wrong
    return right, wrong
