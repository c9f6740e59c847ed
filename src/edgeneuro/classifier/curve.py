"""The curve: how probable an answer is right, by its score and its lead, and how certain that is.

The curve hardly depends on what is classified: scores have one scale in every classifier, 1 is the
margin. So it is known before there is a label, and a few held-out questions move it little."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

from edgeneuro.classifier.examples import OUT_OF_SCOPE
from edgeneuro.classifier.held_out import ONE, HeldOut
from edgeneuro.classifier.logistic import (
    Matrix,
    Prior,
    Vector,
    covariance,
    dot,
    fit,
    logistic,
)

# Of 1, the best score and its lead. The mean over trainings from 2 to 150 agents with 5 to 50
# labels each, of the training parts of two data sets, and how much it varies between them
# (docs/classifier-design.md).
MESSAGES = Prior((-0.4, 0.4, 4.0), (18.0, 6.0, 9.0))
# The same where the classes keep texts (near_texts.py): what these say is in the lead, so that the
# curve differs less between trainings.
NEAR_MESSAGES = Prior((-0.2, 0.45, 3.2), (18.0, 12.0, 25.0))
# Of a score that is a logit already.
LOGITS = Prior((0.0, 0.5, 0.5), (1.0, 1.0, 1.0))
# Nobody knows which share of the traffic no agent fits. Labels of such questions count as this
# share of the others at most, however many there are.
OUT_OF_SCOPE_SHARE = 0.05
_DIGITS = 9  # of a probability: the last ones of exp() differ between machines


@dataclass(frozen=True)
class Curve:
    """`weights` with their `covariance`."""

    weights: Vector
    covariance: Matrix

    def probability(self, one: HeldOut) -> float:
        return round(probability(self.weights, one.top, one.second), _DIGITS)

    def spread(self, slope: Vector) -> float:
        """The standard deviation of a figure with this slope in the weights."""
        return sqrt(max(0.0, dot(slope, [dot(row, slope) for row in self.covariance])))


def probability(weights: Vector, top: float, second: float) -> float:
    """That an answer with these two best scores is right."""
    return logistic(dot(weights, (1.0, top, top - second)))


def logit(value: float) -> float:
    return log(value / (1 - value))


def facts(one: HeldOut) -> Vector:
    return 1.0, one.top, one.top - one.second


def fit_curve(asked: Sequence[HeldOut], prior: Prior) -> Curve:
    """`asked` are questions of agents and out-of-scope ones."""
    rows = [facts(one) for one in asked]
    weights = counts(asked)
    found = fit(rows, [float(one.right) for one in asked], weights, prior)
    return Curve(found, covariance(found, rows, weights, prior))


def counts(asked: Sequence[HeldOut]) -> list[float]:
    """How much each question counts in fits. Together those of agents are as many as they are
    effectively (Kish)."""
    inside = squares = outside = 0
    for one in asked:
        if one.label == OUT_OF_SCOPE:
            outside += one.weight
        else:
            inside += one.weight
            squares += one.weight * one.weight
    unit = min(1 / ONE, inside / squares) if squares else 1 / ONE
    low = min(1.0, OUT_OF_SCOPE_SHARE * inside / outside) if outside and inside else 1.0
    return [one.weight * unit * (low if one.label == OUT_OF_SCOPE else 1.0) for one in asked]
