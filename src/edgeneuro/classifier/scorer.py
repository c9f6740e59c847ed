"""A model that is loaded to answer queries, and what it says of a query, alone or in a
conversation: its prediction, and a sketch by which texts are compared."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from math import exp, sqrt

from edgeneuro.classifier.curve import probability
from edgeneuro.classifier.features import buckets, plain
from edgeneuro.classifier.followups import FollowUps, best_other, confidence, row_of
from edgeneuro.classifier.held_out import accepts
from edgeneuro.classifier.joining import Joined, join
from edgeneuro.classifier.learner import SERVING
from edgeneuro.classifier.logistic import logistic
from edgeneuro.classifier.model import ZERO, Model
from edgeneuro.classifier.serving import DenseRows, packed_rows
from edgeneuro.classifier.switch import (
    KEEPS,
    RULE,
    UNKNOWN_AGENT_SCORE,
    facts,
    logit,
    overlap,
)
from edgeneuro.classifier.vectors import VectorTable

_MAX_EXPONENT = 500.0
_NO_SCORE = float("-inf")


@dataclass(frozen=True)
class Prediction:
    """`probability` that `agent_id` is right. It is sure if it is at least `threshold`,
    and never if that is None or `accepted` is false: the text has no words, or the agent's own
    score is not above 0. `margin` is the best score minus the next one: that of `second_id`, or of
    `gone_id`, an agent that is no longer there. It is below 0 if that one fits better."""

    agent_id: str
    probability: float
    threshold: float | None
    score: float
    margin: float
    second_id: str | None
    accepted: bool
    gone_id: str | None = None

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
        self._rows = packed_rows(model.weights, self._classes)
        learned, dense = model.follow_ups, model.dense
        self._in_context = (
            None if learned is None else packed_rows(learned.weights, self._classes + 1)
        )
        self._dense = None if dense is None else DenseRows(dense, self._classes)
        self._table = table if dense and table and dense.source == table.id else None
        self._familiar = None if dense is None else model.familiar
        self._near = None if self._table is None else model.near
        self._joined: Joined | None = None

    def joined(self, new: Sequence[str], texts: Mapping[str, Sequence[str]]) -> "Scorer":
        """The same classifier among other agents, with classes for those that are `new`; `texts`
        has all of them (joining.py). Takes 20 to 40 ms for each new one."""
        if not (found := join(self.model, self.read, new, texts)):
            return self
        made = copy(self)  # they share the rows
        made.model, made._joined = found
        return made

    def read(self, query: str) -> tuple[list[int], bytes | None]:
        """The active buckets and the word vector of a query."""
        text = plain(query)
        return buckets(text), None if self._table is None else self._table.vector(text)

    def predict(self, query: str) -> Prediction:
        return self.score(*self.read(query))

    def score(self, active: Sequence[int], vector: bytes | None = None) -> Prediction:
        """The prediction for a text with these active buckets and this vector."""
        return self._predict(*self._judged(self._scores(active, vector), vector), len(active))

    def rank(self, query: str, embedding: bytes | None = None) -> ClassRanking:
        """`embedding` is the query's vector by the embedding model that the model was learned
        with; without it the word vector is read."""
        active, vector = self.read(query)
        vector = vector if embedding is None else embedding
        scores, doubt = self._judged(self._scores(active, vector), vector)
        prediction = self._predict(scores, doubt, len(active))
        return ClassRanking(prediction, *self._shared_out(prediction, scores))

    def rank_turn(self, query: str, previous: str, answer: str | None) -> TurnRanking:
        """`previous` is the agent of the turn before, `answer` what it said, if that is known."""
        classes, learned = self.model.classes, self.model.follow_ups
        active, vector = self.read(query)
        shared = overlap(query, answer)
        known = classes.index(previous) if previous in classes else None
        alone = self._scores(active, vector)
        scores, doubt = self._judged(alone, vector)
        message = self._predict(scores, doubt, len(active))
        by_rule = learned is None or known is None or not learned.known[known]
        if learned is None or known is None or by_rule:
            prediction = self._predict_by_rule(message, active, previous, known, alone, shared)
        else:
            prediction = self._predict_learned(learned, message, active, known, alone, shared)
        return TurnRanking(
            prediction,
            *self._shared_out(prediction, scores),
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
        best: Prediction,
        active: Sequence[int],
        previous: str,
        known: int | None,
        alone: Sequence[float],
        shared: int,
    ) -> Prediction:
        """The agent before stays, unless the message alone is sure of another one, its `best`."""
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
        message: Prediction,
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
        together += [0.0] * (len(alone) - len(together))
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
        if best in self._gone:  # and so nothing is sure
            return replace(message, accepted=False, gone_id=classes[best])
        # Where nothing is known of its turns, but of its messages.
        if not learned.known[best] and message.agent_id == classes[best]:
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
        for gone in self._gone:
            odds[gone] = 0.0
        no_class = exp(-shift)
        share = (1 - best) / (no_class + sum(odds))
        probabilities = dict(zip(classes, map(share.__mul__, odds), strict=True))
        none = share * no_class
        if max(odds) * share > best:
            probabilities = {name: min(one, best) for name, one in probabilities.items()}
            none = max(0.0, 1 - best - sum(probabilities.values()))
        for gone in self._gone:
            del probabilities[classes[gone]]
        probabilities[prediction.agent_id] = best
        return probabilities, none

    @property
    def _gone(self) -> tuple[int, ...]:
        return () if self._joined is None else self._joined.gone

    def _scores(self, active: Sequence[int], vector: bytes | None) -> list[float]:
        """Of every class."""
        sums = SERVING.sums(self._rows, active, self._classes)
        unit, middle = self.model.scale / sqrt(len(active)), ZERO * len(active)
        scores = [(one - middle) * unit for one in sums]
        if vector is not None and self._dense is not None:
            scores = [a + b for a, b in zip(scores, self._dense.scores(vector), strict=True)]
        return scores if self._joined is None else self._joined.extended(scores, active, vector)

    def _judged(
        self, scores: Sequence[float], vector: bytes | None
    ) -> tuple[Sequence[float], float]:
        """The scores of a message alone, and what is added to the second best one."""
        doubt = self._familiar.raised(vector) if self._familiar else 0.0
        scores, more = self._near.judge(scores, vector) if self._near else (scores, 0.0)
        return scores, doubt + more

    def _predict(self, scores: Sequence[float], doubt: float, count: int) -> Prediction:
        classes, calibration = self.model.classes, self.model.calibration
        here, gone_id, of_gone = scores, None, _NO_SCORE
        if gone := self._gone:
            of_gone, at = max([(scores[at], at) for at in gone])
            gone_id = classes[at]
            here = [_NO_SCORE if at in gone else one for at, one in enumerate(scores)]
        top = max(here)
        best = here.index(top)
        others = [*here[:best], *here[best + 1 :]]
        second, second_id = max(others, default=_NO_SCORE), None
        if second > _NO_SCORE:
            at = others.index(second)
            second_id = classes[at if at < best else at + 1]
        if of_gone <= second:
            gone_id = None
        second = max(second, of_gone)
        if second == _NO_SCORE:  # there is no other class
            second = top
        sure = probability(calibration.curve, top, second + doubt)
        if second > top:  # the share of what is left without the one that is gone
            sure = _share(top, others)
        return Prediction(
            agent_id=classes[best],
            probability=sure,
            threshold=calibration.thresholds[best],
            score=top,
            margin=top - second,
            second_id=second_id,
            accepted=count > 1 and accepts(top) and second <= top,
            gone_id=gone_id,
        )


def scorer_of(model: Model, word_vectors: Callable[[], VectorTable | None]) -> Scorer:
    """Reads the table of word vectors only for a model that was learned with one."""
    return Scorer(model, None if model.dense is None else word_vectors())


def _share(score: float, others: Sequence[float]) -> float:
    """Of the odds of all, and of no class."""
    shift = max(0.0, score - _MAX_EXPONENT)
    odds = exp(score - shift)
    return odds / (odds + exp(-shift) + sum([exp(one - shift) for one in others]))


def _stands_alone(active: Sequence[int], prediction: Prediction) -> bool:
    return logit(RULE, facts(UNKNOWN_AGENT_SCORE, prediction.score, len(active), 0)) > 0


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
