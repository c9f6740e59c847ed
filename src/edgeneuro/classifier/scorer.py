"""A model that is loaded to answer queries, and what it says of a query: its prediction, and a
sketch by which texts are compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, sqrt

from edgeneuro.classifier.calibration import accepts, probability
from edgeneuro.classifier.features import features
from edgeneuro.classifier.learner import SERVING
from edgeneuro.classifier.model import ZERO, Model

_MAX_EXPONENT = 500.0


@dataclass(frozen=True)
class Prediction:
    """`probability` that `agent_id` is right. It is sure if it is at least `threshold`,
    and never if that is None or `accepted` is false: the text has no words, or the agent's own
    score is not above 0. `margin` is the best score minus that of `second_id`."""

    agent_id: str
    probability: float
    threshold: float | None
    score: float
    margin: float
    second_id: str | None
    accepted: bool

    @property
    def sure(self) -> bool:
        return self.sure_at(0.0)

    def sure_at(self, least: float) -> bool:
        """Whether it is sure and the probability is at least `least`."""
        threshold = self.threshold
        return self.accepted and threshold is not None and self.probability >= max(threshold, least)


@dataclass(frozen=True, slots=True)
class ClassRanking:
    """The probability of every class, and `none`: that no class fits. Their sum is 1. That of the
    best class is the prediction's, which is calibrated. The rest is divided among the others by
    their scores, as odds against "no class fits", and no class gets more than the best one."""

    prediction: Prediction
    probabilities: dict[str, float]
    none: float


class Scorer:
    def __init__(self, model: Model) -> None:
        self.model = model
        self._classes = len(model.classes)
        spread = bytearray(SERVING.size * len(model.weights))
        spread[:: SERVING.size] = model.weights
        size = SERVING.size * self._classes
        self._rows = [
            int.from_bytes(spread[at : at + size], "little") for at in range(0, len(spread), size)
        ]

    def predict(self, query: str) -> Prediction:
        return self.score(features(query))

    def score(self, active: Sequence[int]) -> Prediction:
        """The prediction for a text with these active buckets."""
        return self._predict(list(self._sums(active)), active)

    def rank(self, query: str) -> ClassRanking:
        active = features(query)
        sums = self._sums(active)
        prediction = self._predict(list(sums), active)
        best, classes = prediction.probability, self.model.classes
        unit = self.model.scale / sqrt(len(active))
        # Scaled down by exp(shift), so that no exp() overflows.
        shift = max(0.0, prediction.score - _MAX_EXPONENT)
        offset = ZERO * len(active) * unit + shift
        # In few steps for each class: there may be 250 of them.
        odds = [exp(one * unit - offset) for one in sums]
        odds[classes.index(prediction.agent_id)] = 0.0
        no_class = exp(-shift)
        share = (1 - best) / (no_class + sum(odds))
        probabilities = dict(zip(classes, map(share.__mul__, odds), strict=True))
        none = share * no_class
        if max(odds) * share > best:
            probabilities = {name: min(one, best) for name, one in probabilities.items()}
            none = max(0.0, 1 - best - sum(probabilities.values()))
        probabilities[prediction.agent_id] = best
        return ClassRanking(prediction, probabilities, none)

    def _sums(self, active: Sequence[int]) -> Sequence[int]:
        return SERVING.sums(self._rows, active, self._classes)

    def _predict(self, sums: list[int], active: Sequence[int]) -> Prediction:
        """`sums` is changed."""
        unit = self.model.scale / sqrt(len(active))
        middle = ZERO * len(active)
        highest = max(sums)
        best = sums.index(highest)
        sums[best] = -1
        runner_up = max(sums)
        second = sums.index(runner_up) if runner_up >= 0 else None
        top = (highest - middle) * unit
        margin = (highest - runner_up) * unit if second is not None else 0.0
        calibration, classes = self.model.calibration, self.model.classes
        has_words = len(active) > 1
        return Prediction(
            agent_id=classes[best],
            probability=probability(calibration.curve, top, top - margin),
            threshold=calibration.thresholds[best],
            score=top,
            margin=margin,
            second_id=None if second is None else classes[second],
            accepted=has_words and accepts(top),
        )


@dataclass(frozen=True)
class Reading:
    """`sketch` has a bit for each feature of the text; `prediction` is None without a classifier,
    or without a word."""

    sketch: int = 0
    prediction: Prediction | None = None


def read_query(query: str, scorer: Scorer | None) -> Reading:
    active = features(query)
    bits = bytearray(max(active) // 8 + 1)
    for bucket in active[:-1]:  # the last one is in every text
        bits[bucket >> 3] |= 1 << (bucket & 7)
    prediction = None if scorer is None or len(active) == 1 else scorer.score(active)
    return Reading(int.from_bytes(bits, "little"), prediction)


def likeness(one: int, other: int) -> float:
    """The cosine of two sketches, 0 to 1."""
    shared = (one & other).bit_count()
    return shared / sqrt(one.bit_count() * other.bit_count()) if shared else 0.0
