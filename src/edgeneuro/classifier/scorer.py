"""A model that is loaded to answer queries, and what it says of a query, alone or in a
conversation: its prediction, and a sketch by which texts are compared."""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, sqrt
from operator import mul

from edgeneuro.classifier.curve import probability
from edgeneuro.classifier.dense import DenseWeights
from edgeneuro.classifier.features import buckets, plain
from edgeneuro.classifier.followups import FollowUps, best_other, confidence, row_of
from edgeneuro.classifier.held_out import accepts
from edgeneuro.classifier.learner import SERVING
from edgeneuro.classifier.logistic import logistic
from edgeneuro.classifier.model import ZERO, Model
from edgeneuro.classifier.switch import (
    KEEPS,
    RULE,
    UNKNOWN_AGENT_SCORE,
    facts,
    logit,
    overlap,
)
from edgeneuro.classifier.vectors import NORM, VectorTable

_MAX_EXPONENT = 500.0
_DENSE_MIDDLE = 1 << 15


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


@dataclass(frozen=True, slots=True)
class TurnRanking(ClassRanking):
    """Of a message in a conversation. `kept`: the best agent is that of the turn before. `learned`
    is false where nothing was learned of this agent's conversations: then the rule of switch.py
    keeps it, with a probability that is not calibrated, or the message alone is sure of another
    one."""

    kept: bool
    learned: bool


class Scorer:
    """`table` has the word vectors. A model that was learned with others, or with none, is asked
    without them: by the buckets alone."""

    def __init__(self, model: Model, table: VectorTable | None = None) -> None:
        self.model = model
        self._classes = len(model.classes)
        self._rows = _packed(model.weights, self._classes)
        learned, dense = model.follow_ups, model.dense
        self._in_context = None if learned is None else _packed(learned.weights, self._classes + 1)
        self._dense = None if dense is None else _Dense(dense, self._classes)
        self._table = table if dense and table and dense.source == table.id else None

    def read(self, query: str) -> tuple[list[int], bytes | None]:
        """The active buckets and the word vector of a query."""
        text = plain(query)
        return buckets(text), None if self._table is None else self._table.vector(text)

    def predict(self, query: str) -> Prediction:
        return self.score(*self.read(query))

    def score(self, active: Sequence[int], vector: bytes | None = None) -> Prediction:
        """The prediction for a text with these active buckets and this vector."""
        return self._predict(self._scores(active, vector), active)

    def rank(self, query: str, embedding: bytes | None = None) -> ClassRanking:
        """`embedding` is the query's vector by the embedding model that the model was learned
        with; without it the word vector is read."""
        active, vector = self.read(query)
        vector = vector if embedding is None else embedding
        scores = self._scores(active, vector)
        prediction = self._predict(scores, active)
        return ClassRanking(prediction, *self._shared_out(prediction, scores))

    def rank_turn(self, query: str, previous: str, answer: str | None) -> TurnRanking:
        """`previous` is the agent of the turn before, `answer` what it said, if that is known."""
        classes, learned = self.model.classes, self.model.follow_ups
        active, vector = self.read(query)
        shared = overlap(query, answer)
        known = classes.index(previous) if previous in classes else None
        alone = self._scores(active, vector)
        by_rule = learned is None or known is None or not learned.known[known]
        if learned is None or known is None or by_rule:
            prediction = self._predict_by_rule(active, previous, known, alone, shared)
        else:
            prediction = self._predict_learned(learned, active, known, alone, shared)
        return TurnRanking(
            prediction,
            *self._shared_out(prediction, alone),
            kept=prediction.agent_id == previous,
            learned=not by_rule,
        )

    def says_enough(self, query: str) -> bool:
        """Whether a message whose turn before is not known stands alone, by the rule."""
        active, vector = self.read(query)
        return _stands_alone(active, self.score(active, vector))

    def agent_of(self, said: str, least: float) -> str | None:
        """The agent that answered this message, if that is sure from `least` on."""
        active, vector = self.read(said)
        prediction = self.score(active, vector)
        sure = prediction.sure_at(least) and _stands_alone(active, prediction)
        return prediction.agent_id if sure else None

    def _predict_by_rule(
        self,
        active: Sequence[int],
        previous: str,
        known: int | None,
        alone: Sequence[float],
        shared: int,
    ) -> Prediction:
        """The agent before stays, unless the message alone is sure of another one."""
        best = self._predict(alone, active)
        own = UNKNOWN_AGENT_SCORE if known is None else alone[known]
        other = max([one for at, one in enumerate(alone) if at != known], default=own)
        leaving = logit(RULE, facts(own, other, len(active), shared))
        if leaving > 0 and best.agent_id != previous:
            return best
        return Prediction(
            agent_id=previous,
            probability=logistic(-leaving) if leaving <= 0 else best.probability,
            threshold=KEEPS,
            score=own,
            margin=own - other,
            second_id=best.agent_id if best.agent_id != previous else best.second_id,
            accepted=len(active) > 1,
        )

    def _predict_learned(
        self,
        learned: FollowUps,
        active: list[int],
        previous: int,
        alone: Sequence[float],
        shared: int,
    ) -> Prediction:
        assert self._in_context is not None
        count = len(active)
        *in_context, leaving = SERVING.sums(
            self._in_context, [*active, row_of(previous)], self._classes + 1
        )
        unit, middle = learned.scale / sqrt(count + 1), ZERO * (count + 1)
        together = [(one - middle) * unit for one in in_context]
        other, lead = best_other([a + b for a, b in zip(alone, together, strict=True)], previous)
        given = facts(
            alone[previous],
            max([one for at, one in enumerate(alone) if at != previous]),
            count,
            shared,
            together[previous],
            max([one for at, one in enumerate(together) if at != previous]),
            (leaving - middle) * learned.scale / sqrt(count),
        )
        switch = logit(learned.switch, given)
        best, second = (previous, other) if switch <= 0 else (other, previous)
        calibration, classes = learned.calibration, self.model.classes
        if not learned.known[best]:  # nothing is known of its turns, but of its messages
            message = self._predict(alone, active)
            if message.agent_id == classes[best]:
                return message
        sure = confidence(learned.keeping, learned.leaving, switch, lead)
        return Prediction(
            agent_id=classes[best],
            probability=probability(calibration.curve, sure, 0.0),
            threshold=calibration.thresholds[best],
            score=alone[best] + together[best],
            margin=alone[best] + together[best] - alone[second] - together[second],
            second_id=classes[second],
            accepted=count > 1 and accepts(sure),
        )

    def _shared_out(
        self, prediction: Prediction, scores: Sequence[float]
    ) -> tuple[dict[str, float], float]:
        """The probability of every class and of none: what the best one leaves is shared by the
        scores."""
        best, classes = prediction.probability, self.model.classes
        # Scaled down by exp(shift), so that no exp() overflows.
        shift = max(0.0, max(scores) - _MAX_EXPONENT)
        # In few steps for each class: there may be 250 of them.
        odds = [exp(one - shift) for one in scores]
        if prediction.agent_id in classes:
            odds[classes.index(prediction.agent_id)] = 0.0
        no_class = exp(-shift)
        share = (1 - best) / (no_class + sum(odds))
        probabilities = dict(zip(classes, map(share.__mul__, odds), strict=True))
        none = share * no_class
        if max(odds) * share > best:
            probabilities = {name: min(one, best) for name, one in probabilities.items()}
            none = max(0.0, 1 - best - sum(probabilities.values()))
        probabilities[prediction.agent_id] = best
        return probabilities, none

    def _scores(self, active: Sequence[int], vector: bytes | None) -> list[float]:
        """Of every class."""
        sums = SERVING.sums(self._rows, active, self._classes)
        unit, middle = self.model.scale / sqrt(len(active)), ZERO * len(active)
        scores = [(one - middle) * unit for one in sums]
        if vector is None or self._dense is None:
            return scores
        return [one + more for one, more in zip(scores, self._dense.scores(vector), strict=True)]

    def _predict(self, scores: Sequence[float], active: Sequence[int]) -> Prediction:
        top = max(scores)
        best = scores.index(top)
        others = [*scores[:best], *scores[best + 1 :]]
        second = max(others, default=top)
        calibration, classes = self.model.calibration, self.model.classes
        second_id = None
        if others:
            at = others.index(second)
            second_id = classes[at if at < best else at + 1]
        has_words = len(active) > 1
        return Prediction(
            agent_id=classes[best],
            probability=probability(calibration.curve, top, second),
            threshold=calibration.thresholds[best],
            score=top,
            margin=top - second,
            second_id=second_id,
            accepted=has_words and accepts(top),
        )


def scorer_of(model: Model, word_vectors: Callable[[], VectorTable | None]) -> Scorer:
    """Reads the table of word vectors only for a model that was learned with one."""
    return Scorer(model, None if model.dense is None else word_vectors())


class _Dense:
    """The weights for vectors, as integers with a signed field per class."""

    def __init__(self, dense: DenseWeights, classes: int) -> None:
        self._size, ones = SERVING.size * classes, _packed(b"\1" * classes, classes)[0]
        self._rows = [row - ZERO * ones for row in _packed(dense.weights, classes)]
        self._middle, self._unit = _DENSE_MIDDLE * ones, dense.scale / NORM

    def scores(self, vector: bytes) -> list[float]:
        numbers = memoryview(vector).cast("b")
        packed = sum(map(mul, self._rows, numbers)) + self._middle
        fields = array(SERVING.code, packed.to_bytes(self._size, "little"))
        return [(field - _DENSE_MIDDLE) * self._unit for field in fields]


def _stands_alone(active: Sequence[int], prediction: Prediction) -> bool:
    return logit(RULE, facts(UNKNOWN_AGENT_SCORE, prediction.score, len(active), 0)) > 0


def _packed(weights: bytes, classes: int) -> list[int]:
    """A row of one byte per class for each bucket, as integers with a field per class."""
    spread = bytearray(SERVING.size * len(weights))
    spread[:: SERVING.size] = weights
    size = SERVING.size * classes
    return [int.from_bytes(spread[at : at + size], "little") for at in range(0, len(spread), size)]


@dataclass(frozen=True)
class Reading:
    """`sketch` has a bit for each feature of the text; `prediction` is None without a classifier,
    or without a word."""

    sketch: int = 0
    prediction: Prediction | None = None


def read_query(query: str, scorer: Scorer | None) -> Reading:
    active, vector = (buckets(plain(query)), None) if scorer is None else scorer.read(query)
    bits = bytearray(max(active) // 8 + 1)
    for bucket in active[:-1]:  # the last one is in every text
        bits[bucket >> 3] |= 1 << (bucket & 7)
    prediction = None if scorer is None or len(active) == 1 else scorer.score(active, vector)
    return Reading(int.from_bytes(bits, "little"), prediction)


def likeness(one: int, other: int) -> float:
    """The cosine of two sketches, 0 to 1."""
    shared = (one & other).bit_count()
    return shared / sqrt(one.bit_count() * other.bit_count()) if shared else 0.0
