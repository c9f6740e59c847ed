"""The linear learner: one-versus-rest squared hinge loss, one example at a time. A text of no class
is a counter-example to all, so a model need not choose one of its classes.

Weights are integers in units of 2^-16: the same examples in the same order give the same weights
to the bit, on every machine.

The weights of all classes for one bucket are packed into one Python integer, so that one addition
adds them all. That is 4 to 10 times faster than any loop over classes, in workerd too.

Beside the active buckets an example may have a dense vector of small integers. Each number of it
has a packed row too, which is multiplied by it. The buckets together and a unit vector have the
same norm, 1.
"""

import zlib
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from math import isqrt
from operator import add, itemgetter, or_

from edgeneuro.classifier.dense import KEPT_NUMBERS
from edgeneuro.classifier.examples import Examples
from edgeneuro.classifier.features import ROWS
from edgeneuro.classifier.vectors import NORM

UNIT = 1 << 16  # the weight 1
_ROOT = 1 << 8  # of UNIT


@dataclass(frozen=True)
class PackedRows:
    """How the weights of one bucket are packed, one field per class. A field holds weight + offset,
    which is never below 0, and is wide enough for the sum of `max_rows` rows. `code` is the field
    as a type code of array, `size` its bytes."""

    code: str
    size: int
    max_rows: int
    offset: int

    def sums(self, rows: Sequence[int], active: Sequence[int], classes: int) -> Sequence[int]:
        """For each class the sum over the active rows, offsets included."""
        most = self.max_rows
        if len(active) <= most:
            return self._unpack(sum(map(rows.__getitem__, active)), classes)
        totals: Sequence[int] = [0] * classes
        for at in range(0, len(active), most):
            part = sum(map(rows.__getitem__, active[at : at + most]))
            totals = list(map(add, totals, self._unpack(part, classes)))
        return totals

    def _unpack(self, row: int, classes: int) -> "array[int]":
        return array(self.code, row.to_bytes(self.size * classes, "little"))


TRAINING = PackedRows("I", 4, 512, 1 << 22)  # weights in units of 2^-16, within +-64
SERVING = PackedRows("H", 2, 256, 128)  # weights of one signed byte
_FIELD_BITS = 8 * TRAINING.size
# The weights of dense rows are in units of 2^-20, so that a sum with a vector of the norm 32 fits a
# field of 32 bits up to the score 64. The rows are sums of signed fields and have no offsets.
_FINER = 4  # bits more than those of the buckets
_DENSE_MIDDLE = 1 << 31
DENSE_UNIT = UNIT << _FINER  # the weight 1


# Of each number of a vector but 0: its places, and what picks their rows. One product of a packed
# row for each number, and additions for its places, take half as long as a product for each place.
_Places = list[tuple[int, Sequence[int], Callable[[Sequence[int]], Sequence[int]]]]
# A vector comes again in every epoch, and to find its places takes longer than to learn it: those
# of the first KEPT_NUMBERS are kept, 5 MB in workerd.


class Learner:
    """`rows` are the packed weights, one row per bucket; `buckets` is how many a new one has.

    `dense` is the width of the vectors, 0 for none. A vector is `dense` signed bytes: one of the
    norm vectors.NORM, or `parts` of them joined, each of which then counts as much as the
    buckets do."""

    def __init__(
        self,
        classes: int,
        rows: list[int] | None = None,
        *,
        buckets: int = ROWS,
        dense: int = 0,
        parts: int = 1,
    ) -> None:
        self.classes, self.dense, self._parts = classes, dense, parts
        zeros = self._in_every_field(TRAINING.offset)
        self._rows = [zeros] * buckets if rows is None else rows
        self._dense_rows = [0] * dense
        self._dense_middle = self._in_every_field(_DENSE_MIDDLE)
        self._kept: dict[bytes, _Places] = {}

    def learn(
        self, active: Sequence[int], label: int, rate: int, vector: bytes | None = None
    ) -> None:
        """Takes a step of `rate` (65536 reaches the margin) towards the label, and one away from
        every other class; a label below 0 is no class. An example may be without a vector."""
        rows, count = self._rows, len(active)
        sums = TRAINING.sums(rows, active, self.classes)
        middle, margin = count * TRAINING.offset, isqrt(count * UNIT) * _ROOT
        if vector is not None:
            places, root = self._places(vector), isqrt(count << 32) // NORM
            sums = self._with_dense(sums, places, root)
            rate //= 1 + self._parts  # the square of the norm of buckets and vector
        low, step = middle - margin, rate // count
        down = [(total - low) * step >> 16 if total > low else 0 for total in sums]
        up = 0
        if label >= 0:
            down[label] = 0
            short = middle + margin - sums[label]
            if short > 0:
                up = short * step >> 16
        change = (up << (_FIELD_BITS * label)) - _packed(down) if up else -_packed(down)
        if not change:
            return
        for bucket in active:
            rows[bucket] += change
        if vector is not None:
            root <<= _FINER
            up = up * root >> 16
            change = (up << (_FIELD_BITS * label)) if up else 0
            self._move(change - _packed([each * root >> 16 for each in down]), places)

    def _with_dense(self, sums: Sequence[int], places: _Places, root: int) -> list[int]:
        """The sums, and those of the dense rows in the same units; `root` is that of the number of
        active buckets over NORM, in units of 2^-16."""
        rows, packed = self._dense_rows, self._dense_middle
        for number, _, pick in places:
            packed += number * sum(pick(rows))
        fields = array(TRAINING.code, packed.to_bytes(self._bytes, "little"))
        shift = 16 + _FINER
        return [
            total + ((each - _DENSE_MIDDLE) * root >> shift)
            for total, each in zip(sums, fields, strict=True)
        ]

    def _move(self, change: int, places: _Places) -> None:
        rows = self._dense_rows
        for number, where, _ in places:
            multiple = number * change
            for place in where:
                rows[place] += multiple

    def _places(self, vector: bytes) -> _Places:
        found = self._kept.get(vector)
        if found is None:
            found = _places(vector)
            if len(self._kept) < KEPT_NUMBERS // self.dense:
                self._kept[vector] = found
        return found

    @property
    def _bytes(self) -> int:
        """Of a packed row."""
        return TRAINING.size * self.classes

    def _sums(self, active: Sequence[int], vector: bytes | None) -> Sequence[int]:
        sums = TRAINING.sums(self._rows, active, self.classes)
        if vector is None:
            return sums
        return self._with_dense(sums, self._places(vector), isqrt(len(active) << 32) // NORM)

    def scores(self, active: Sequence[int], vector: bytes | None = None) -> list[float]:
        """Of every class."""
        unit = UNIT * len(active) ** 0.5
        middle = len(active) * TRAINING.offset
        return [(total - middle) / unit for total in self._sums(active, vector)]

    def check(self) -> None:
        """Raises OverflowError if a weight does not fit its field, or a sum of dense rows might
        not."""
        guard = self._in_every_field((1 << _FIELD_BITS) - 2 * TRAINING.offset)
        too_large = reduce(or_, self._rows) & guard
        if self.dense and not too_large:
            squares = [0] * self.classes
            for row in self.dense_weights():
                squares = [total + each * each for total, each in zip(squares, row, strict=True)]
            too_large = max(squares) * self._parts * NORM * NORM >> 62
        if too_large:
            raise OverflowError("a weight has grown beyond 64; the labels cannot be learned")

    def weights(self) -> Iterator["array[int]"]:
        """The rows of the buckets as signed weights, in units of 2^-16. Few labels leave most
        buckets as they were: those have the same row, as an object too."""
        untouched = self._in_every_field(TRAINING.offset)
        zeros = array("i", [0] * self.classes)
        for row in self._rows:
            if row == untouched:
                yield zeros
            else:
                fields = array(TRAINING.code, row.to_bytes(self._bytes, "little"))
                yield array("i", [weight - TRAINING.offset for weight in fields])

    def dense_weights(self) -> Iterator["array[int]"]:
        """The rows of the vector's numbers as signed weights, in units of 2^-20; they are those of
        a vector with the norm 1."""
        for row in self._dense_rows:
            shifted = row + self._dense_middle
            fields = array(TRAINING.code, shifted.to_bytes(self._bytes, "little"))
            yield array("i", [weight - _DENSE_MIDDLE for weight in fields])

    def to_bytes(self) -> bytes:
        size, middle = self._bytes, self._dense_middle
        flat = [row.to_bytes(size, "little") for row in self._rows]
        flat += [(row + middle).to_bytes(size, "little") for row in self._dense_rows]
        return zlib.compress(b"".join(flat), 1)

    @classmethod
    def from_bytes(cls, classes: int, data: bytes, *, dense: int = 0, parts: int = 1) -> "Learner":
        size = TRAINING.size * classes
        flat = zlib.decompress(data)
        rows = [int.from_bytes(flat[at : at + size], "little") for at in range(0, len(flat), size)]
        learner = cls(classes, rows[: len(rows) - dense], dense=dense, parts=parts)
        middle = learner._dense_middle
        learner._dense_rows = [row - middle for row in rows[len(rows) - dense :]]
        return learner

    def _in_every_field(self, value: int) -> int:
        field = value.to_bytes(TRAINING.size, "little")
        return int.from_bytes(field * self.classes, "little")


def new_learner(examples: Examples) -> Learner:
    """For these examples, which has learned nothing."""
    vectors = examples.vectors
    return Learner(len(examples.classes), dense=vectors.width, parts=vectors.parts)


def learner_from_bytes(examples: Examples, data: bytes) -> Learner:
    vectors, classes = examples.vectors, len(examples.classes)
    return Learner.from_bytes(classes, data, dense=vectors.width, parts=vectors.parts)


def _places(vector: bytes) -> _Places:
    places: defaultdict[int, list[int]] = defaultdict(list)
    for place, number in enumerate(memoryview(vector).cast("b")):
        places[number].append(place)
    places.pop(0, None)
    return [(number, where, _picking(where)) for number, where in places.items()]


def _picking(places: Sequence[int]) -> Callable[[Sequence[int]], Sequence[int]]:
    if len(places) > 1:
        return itemgetter(*places)
    [place] = places
    return itemgetter(slice(place, place + 1))


def _packed(fields: Sequence[int]) -> int:
    return int.from_bytes(array(TRAINING.code, fields).tobytes(), "little")
