"""Agents that a loaded classifier does not know, and classes whose agent has left.

A new agent joins at once: a column of weights is learned from its own texts, with texts of other
agents as counter-examples, by the steps of the learner. It starts as the mean of the columns of the
model, which know what says nothing of any agent. It has no label, so it may answer only from the
strictest threshold of the classifier. What matters more is that its score counts in the margin of
the others: without it they would answer its queries.

The class of an agent that left is never the best one. Its score counts in the margin as before: a
query that it fits better is for no agent that is left (bench/joining.py has the figures of both).

Integers all the way, as in a training: all isolates learn the same columns.
"""

import random
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isqrt, sqrt
from operator import mul
from zlib import crc32

from edgeneuro.classifier.calibration import Calibration
from edgeneuro.classifier.learner import UNIT
from edgeneuro.classifier.model import ZERO, Model
from edgeneuro.classifier.plan import FIRST_RATE
from edgeneuro.classifier.vectors import NORM

MAX_COUNTER_EXAMPLES = 100  # as good as 250, in half of the time
EPOCHS = 5
SHY = 0.98  # the lowest threshold of an agent that has no label

# Weights are in units of 2^-20, so that a step for one number of a vector is not rounded to 0.
_FINE = UNIT << 4
_FIELD = 32  # bits of a packed weight; a sum of weights is within +-2^31
_MIDDLE = 1 << 31

# The active buckets of a text, and its vector.
Read = Callable[[str], tuple[Sequence[int], bytes | None]]


@dataclass(frozen=True)
class Newcomers:
    """How the columns of the new agents differ from the mean of the model's: by bucket, and for
    each number of a vector (empty without vectors). A row is the sum of one signed field for each
    agent."""

    ids: tuple[str, ...]
    rows: Mapping[int, int]
    dense: Sequence[int]

    def scores(self, active: Sequence[int], vector: bytes | None) -> list[float]:
        """Of each new agent, to be added to the mean of the model's scores."""
        found = self._unpacked(sum([self.rows.get(bucket, 0) for bucket in active]))
        unit = 1 / (_FINE * sqrt(len(active)))
        scores = [one * unit for one in found]
        if vector is None or not self.dense:
            return scores
        numbers = memoryview(vector).cast("b")
        more = self._unpacked(sum(map(mul, self.dense, numbers)))
        return [one + each / (_FINE * NORM) for one, each in zip(scores, more, strict=True)]

    def _unpacked(self, row: int) -> list[int]:
        count = len(self.ids)
        shifted = (row + _packed([_MIDDLE] * count)).to_bytes(4 * count, "little")
        return [field - _MIDDLE for field in array("I", shifted)]


@dataclass(frozen=True)
class Joined:
    """What a scorer adds to its model: `newcomers`, whose classes come after those of the model,
    and the classes that are `gone`, by their index."""

    newcomers: Newcomers
    gone: tuple[int, ...] = ()

    def extended(
        self, scores: list[float], active: Sequence[int], vector: bytes | None
    ) -> list[float]:
        """The scores of all classes, from those of the model."""
        if not self.newcomers.ids:
            return scores
        mean = sum(scores) / len(scores)
        return [*scores, *[mean + one for one in self.newcomers.scores(active, vector)]]


def join(
    model: Model, read: Read, new: Sequence[str], texts: Mapping[str, Sequence[str]]
) -> tuple[Model, Joined] | None:
    """The model with a class for each of the `new` agents at the end, and what a scorer adds for
    them; None if there is nothing to add. `texts` has all agents that are enabled, with their texts
    (agent_texts.py); these are read only for new ones."""
    gone = tuple(at for at, each in enumerate(model.classes) if each not in texts)
    if not new and not gone:
        return None
    return _extended(model, new), Joined(learn_newcomers(model, read, new, texts), gone)


def learn_newcomers(
    model: Model, read: Read, new: Sequence[str], texts: Mapping[str, Sequence[str]]
) -> Newcomers:
    """The same texts make the same columns."""
    examples, means = _Examples(read), _Means(model)
    columns = [_column(each, texts, examples, means) for each in new]
    touched = sorted({bucket for column in columns for bucket in column.weights})
    rows = {
        bucket: _packed([column.weights[bucket] - means[bucket] for column in columns])
        for bucket in touched
    }
    dense = [
        _packed([column.dense[at] - mean for column in columns])
        for at, mean in enumerate(means.dense if columns else ())
    ]
    return Newcomers(tuple(new), rows, dense)


@dataclass(frozen=True)
class _Example:
    """`root` is that of the number of active buckets, in units of 2^-16; `square` is the square of
    the norm of buckets and vector."""

    active: Sequence[int]
    vector: Sequence[int]
    root: int
    square: int


class _Examples(dict[str, _Example]):
    """By text, each read once."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def __missing__(self, text: str) -> _Example:
        active, vector = self._read(text)
        numbers = () if vector is None else memoryview(vector).cast("b").tolist()
        root = isqrt(len(active) << 32)
        found = self[text] = _Example(active, numbers, root, 1 if vector is None else 2)
        return found


class _Means(dict[int, int]):
    """By bucket the mean of the model's weights, and in `dense` that for each number of a
    vector."""

    def __init__(self, model: Model) -> None:
        self._weights, self._classes = model.weights, len(model.classes)
        self._unit = model.scale * _FINE / self._classes
        self.dense: list[int] = []
        if model.dense is not None:
            weights, unit = model.dense.weights, model.dense.scale * _FINE / self._classes
            starts = range(0, len(weights), self._classes)
            self.dense = [self._mean(weights, start, unit) for start in starts]

    def __missing__(self, bucket: int) -> int:
        found = self[bucket] = self._mean(self._weights, bucket * self._classes, self._unit)
        return found

    def _mean(self, weights: bytes, start: int, unit: float) -> int:
        return round((sum(weights[start : start + self._classes]) - ZERO * self._classes) * unit)


class _Weights(dict[int, int]):
    """By bucket; one that was not changed has the mean."""

    def __init__(self, means: _Means) -> None:
        self._means = means

    def __missing__(self, bucket: int) -> int:
        return self._means[bucket]


class _Column:
    """The weights of one new agent."""

    def __init__(self, means: _Means) -> None:
        self.weights = _Weights(means)
        self.dense = list(means.dense)

    def learn(self, example: _Example, sign: int, rate: int) -> None:
        """Takes a step of `rate` (65536 reaches the margin) towards the agent, or with a `sign` of
        -1 away from it."""
        weights, vector = self.weights, example.vector
        score = (sum([weights[bucket] for bucket in example.active]) << 16) // example.root
        if vector:
            score += sum(map(mul, self.dense, vector)) // NORM
        short = _FINE - sign * score
        if short <= 0:
            return
        step = sign * (short * rate // (UNIT * example.square))
        change = (step << 16) // example.root
        for bucket in example.active:
            weights[bucket] += change
        if vector:
            change = step // NORM
            self.dense = [one + change * each for one, each in zip(self.dense, vector, strict=True)]


def _column(
    agent_id: str, texts: Mapping[str, Sequence[str]], examples: _Examples, means: _Means
) -> _Column:
    """A text that another agent has as well is no counter-example: of two agents with the same
    texts none is better."""
    own = texts[agent_id]
    others = {text for each in texts.values() for text in each} - {*own}
    counter = sorted(others, key=_by_chance)[:MAX_COUNTER_EXAMPLES]
    given = [*((text, 1) for text in own), *((text, -1) for text in counter)]
    column, total = _Column(means), EPOCHS * len(given)
    chance = random.Random(0)
    for epoch in range(EPOCHS):
        # The same in every version of Python, which shuffle() does not promise.
        order = sorted(range(len(given)), key=[chance.random() for _ in given].__getitem__)
        for visit, place in enumerate(order, epoch * len(given)):
            text, sign = given[place]
            column.learn(examples[text], sign, FIRST_RATE * (total - visit) // total)
    return column


def _by_chance(text: str) -> tuple[int, str]:
    return crc32(text.encode("utf-8", "surrogatepass")), text


def _packed(fields: Sequence[int]) -> int:
    return sum([field << (_FIELD * at) for at, field in enumerate(fields)])


def _extended(model: Model, new: Sequence[str]) -> Model:
    if not new:
        return model
    learned = model.follow_ups
    if learned is not None:
        learned = replace(
            learned,
            calibration=_with_thresholds(learned.calibration, [None] * len(new)),
            known=(*learned.known, *(False for _ in new)),
        )
    return replace(
        model,
        classes=(*model.classes, *new),
        calibration=_with_thresholds(model.calibration, [_shy(model.calibration)] * len(new)),
        follow_ups=learned,
    )


def _shy(calibration: Calibration) -> float | None:
    """The threshold of agents without a label: none if the classifier answers nothing."""
    strictest = max((each for each in calibration.thresholds if each is not None), default=None)
    return None if strictest is None else max(strictest, SHY)


def _with_thresholds(calibration: Calibration, more: Sequence[float | None]) -> Calibration:
    return replace(calibration, thresholds=(*calibration.thresholds, *more))
