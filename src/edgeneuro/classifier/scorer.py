"""A model ready to answer: what an isolate keeps. See lanes.py for the way the rows are added."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from edgeneuro.classifier.calibration import accepts, probability
from edgeneuro.classifier.features import features
from edgeneuro.classifier.lanes import NARROW
from edgeneuro.classifier.model import ZERO, Model


@dataclass(frozen=True)
class Verdict:
    """`probability` that `agent_id` is right; sure from `threshold` on, never where that is None or
    `accepted` is false: the text has no words, or the agent's own score says no. `margin` is the
    lead of the best score over that of `second_id`."""

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
        """Sure with a probability of `least` or more too."""
        threshold = self.threshold
        return self.accepted and threshold is not None and self.probability >= max(threshold, least)


class Scorer:
    def __init__(self, model: Model) -> None:
        self.model = model
        self._classes = len(model.classes)
        spread = bytearray(NARROW.size * len(model.weights))
        spread[:: NARROW.size] = model.weights
        size = NARROW.size * self._classes
        self._rows = [
            int.from_bytes(spread[at : at + size], "little") for at in range(0, len(spread), size)
        ]

    def judge(self, query: str) -> Verdict:
        return self.score(features(query))

    def score(self, active: Sequence[int]) -> Verdict:
        """The verdict on a text with these buckets."""
        sums = list(NARROW.sums(self._rows, active, self._classes))
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
        return Verdict(
            agent_id=classes[best],
            probability=probability(calibration.curve, top, top - margin),
            threshold=calibration.thresholds[best],
            score=top,
            margin=margin,
            second_id=None if second is None else classes[second],
            accepted=has_words and accepts(top),
        )
