"""How familiar a text is: how close its word vector comes to what the classifier has learned from.

The scores say which agent a text is most like, not whether it is like any of them: of texts that no
agent fits, with scores as high as those of three quarters of the others, a tenth remains however
many labels there are. The distance to the nearest of some centres of the examples tells them apart
much better. So the second best score is raised for unfamiliar texts and lowered for familiar ones,
before the curve makes a probability of the two best scores: at training and in service alike.

Only where most labels are machine labels, which have few examples of unknown topics: with 20 labels
of each of 150 intents that people gave, coverage fell from 66.5 to 64.8 %.

The centres are those of k-means over the vectors of the examples of agents: integers all the way.
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import sqrt

from edgeneuro.classifier.clusters import Centroids
from edgeneuro.classifier.examples import Examples
from edgeneuro.classifier.held_out import LEFT_OUT_CLASS, HeldOut
from edgeneuro.classifier.sources import MODEL
from edgeneuro.classifier.thresholds import FAMILIAR, MESSAGES, UnknownTopics
from edgeneuro.classifier.vectors import NORM, rounded

MAX_CENTRES = 256
_EXAMPLES_A_CENTRE = 4
_MIN_EXAMPLES = 1_000  # with fewer the centres say more of chance than of what is familiar
_MAX_EXAMPLES = 3_000
_ROUNDS = 3
_UNIT = 127  # the norm of a centre; a product with a vector fits two bytes
_LANE_BYTES = 2
# The mean of familiar texts, and what a difference of 1 adds to the second best score.
_USUAL, _WEIGHT = 0.7, 2.0


@dataclass(frozen=True)
class Familiar:
    """`centres` are vectors of `width` signed bytes with the norm _UNIT, one after another. A
    vector of a text has `parts`, each with the norm vectors.NORM."""

    width: int
    parts: int
    centres: bytes = field(repr=False)

    @cached_property
    def _rows(self) -> Centroids:
        rows = Centroids(_LANE_BYTES)
        for at in range(0, len(self.centres), self.width):
            rows.add(memoryview(self.centres[at : at + self.width]).cast("b").tolist())
        return rows

    def raised(self, vector: bytes | None) -> float:
        """What is added to the second best score of a text with this vector; 0 for one without."""
        if vector is None:
            return 0.0
        rows = self._rows
        nearest = max(rows.products(memoryview(vector).cast("b").tolist()))
        return _shift(nearest - rows.half, self.parts)


def _shift(product: int, parts: int) -> float:
    """Of the product with the nearest centre."""
    return round(_WEIGHT * (_USUAL - product / (_UNIT * NORM * sqrt(parts))), 6)


class FamiliarBuilder:
    """Finds the centres, and how familiar the examples themselves would be as new texts."""

    def __init__(self, examples: Examples, *, min_examples: int = _MIN_EXAMPLES) -> None:
        self._examples = examples
        inside = [
            at
            for at in range(len(examples))
            if examples.labels[at] >= 0
            and examples.stands_alone(at)
            and examples.vector(at) is not None
        ]
        step = max(1, -(-len(inside) // _MAX_EXAMPLES))
        self._own = inside[::step]
        self._numbers = {at: self._vector(at) for at in self._own}
        count = min(MAX_CENTRES, len(self._own) // _EXAMPLES_A_CENTRE)
        machine = sum(examples.sources[at] == MODEL for at in inside)
        if len(inside) < min_examples or 2 * machine <= len(inside):
            count = 0
        places = [number * len(self._own) // count for number in range(count)] if count else []
        self._sums = [self._numbers[self._own[place]] for place in places]
        self._group: dict[int, int] = {}
        self._majority: list[int] = []

    def rounds(self) -> Iterator[None]:
        """Pauses after each text."""
        for _ in range(_ROUNDS if self._sums else 0):
            centres = self._centres()
            sums: list[list[int] | None] = [None] * len(self._sums)
            for at in self._own:
                products = centres.products(self._numbers[at])
                best = products.index(max(products))
                self._group[at] = best
                before, vector = sums[best], self._numbers[at]
                sums[best] = (
                    vector
                    if before is None
                    else [one + other for one, other in zip(before, vector, strict=True)]
                )
                yield
            self._sums = [new or old for new, old in zip(sums, self._sums, strict=True)]
        labels: list[Counter[int]] = [Counter() for _ in self._sums]
        for at, group in self._group.items():
            labels[group][self._examples.labels[at]] += 1
        self._majority = [each.most_common(1)[0][0] if each else -1 for each in labels]

    def found(self) -> Familiar | None:
        """None where there are too few examples with vectors."""
        if not self._sums:
            return None
        centres = b"".join(array("b", _unit(each)).tobytes() for each in self._sums)
        vectors = self._examples.vectors
        return Familiar(vectors.width, vectors.parts, centres)

    def raised(self, indices: Sequence[int], unknown: Sequence[bool]) -> Iterator[float]:
        """What is added to the second best score of each of these examples, as if it had not been
        among those that the centres are of; where `unknown`, as if none of its agent had been."""
        centres = self._centres()
        for at, as_unknown in zip(indices, unknown, strict=True):
            if not self._sums or self._examples.vector(at) is None:
                yield 0.0
                continue
            vector = self._numbers.get(at) or self._vector(at)
            products = [one - centres.half for one in centres.products(vector)]
            if as_unknown:
                own = self._examples.labels[at]
                products = [
                    one for one, label in zip(products, self._majority, strict=True) if label != own
                ]
            elif (group := self._group.get(at)) is not None:
                rest = [a - b for a, b in zip(self._sums[group], vector, strict=True)]
                products[group] = sum(map(int.__mul__, _unit(rest), vector))
            yield _shift(max(products, default=0), self._examples.vectors.parts)

    def _centres(self) -> Centroids:
        centres = Centroids(_LANE_BYTES)
        for each in self._sums:
            centres.add(_unit(each))
        return centres

    def _vector(self, at: int) -> list[int]:
        vector = self._examples.vector(at)
        assert vector is not None
        return memoryview(vector).cast("b").tolist()


class Familiarity:
    """Of a training whose passes are all done: the centres, and the held-out questions with their
    second best scores as in service."""

    def __init__(
        self,
        examples: Examples,
        held: Sequence[HeldOut],
        indices: Sequence[int],
        *,
        min_examples: int = _MIN_EXAMPLES,
    ) -> None:
        self._examples, self._held, self._indices = examples, held, indices
        self._min_examples = min_examples
        self._found: tuple[Familiar | None, list[HeldOut]] | None = None

    def find(self) -> Iterator[None]:
        """Pauses after each example; what follows does all of it if nobody has."""
        builder = FamiliarBuilder(self._examples, min_examples=self._min_examples)
        yield from builder.rounds()
        judged = []
        unknown = [one.label == LEFT_OUT_CLASS for one in self._held]
        raised = builder.raised(self._indices, unknown)
        for one, more in zip(self._held, raised, strict=True):
            judged.append(replace(one, second=one.second + more))
            yield
        self._found = builder.found(), judged

    def found(self) -> Familiar | None:
        return self._all()[0]

    def judged(self) -> list[HeldOut]:
        return self._all()[1]

    def unknown_topics(self) -> UnknownTopics:
        """What is assumed of them, and how many of them may be answered."""
        return MESSAGES if self.found() is None else FAMILIAR

    def _all(self) -> tuple[Familiar | None, list[HeldOut]]:
        if self._found is None:
            for _ in self.find():
                pass
        assert self._found is not None
        return self._found


def _unit(numbers: Sequence[int]) -> list[int]:
    return rounded(numbers, _UNIT)
