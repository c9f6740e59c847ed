"""The linear learner: one-versus-rest squared hinge loss, one example at a time. A text of no class
is a counter-example to all, so a model need not choose one of its classes.

Weights are integers in units of 2^-16: the same examples in the same order give the same weights
to the bit, on every machine.

The weights of all classes for one bucket are packed into one Python integer, so that one addition
adds them all. That is 4 to 10 times faster than any loop over classes, in workerd too.
"""

import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from math import isqrt
from operator import add, or_

from edgeneuro.classifier.features import ROWS

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
            return self._unpack(sum([rows[bucket] for bucket in active]), classes)
        totals: Sequence[int] = [0] * classes
        for at in range(0, len(active), most):
            part = sum([rows[bucket] for bucket in active[at : at + most]])
            totals = list(map(add, totals, self._unpack(part, classes)))
        return totals

    def _unpack(self, row: int, classes: int) -> "array[int]":
        return array(self.code, row.to_bytes(self.size * classes, "little"))


TRAINING = PackedRows("I", 4, 512, 1 << 22)  # weights in units of 2^-16, within +-64
SERVING = PackedRows("H", 2, 256, 128)  # weights of one signed byte
_FIELD_BITS = 8 * TRAINING.size


class Learner:
    """`rows` are the packed weights, one row per bucket; `buckets` is how many a new one has."""

    def __init__(self, classes: int, rows: list[int] | None = None, *, buckets: int = ROWS) -> None:
        self.classes = classes
        zeros = self._in_every_field(TRAINING.offset)
        self._rows = [zeros] * buckets if rows is None else rows

    def learn(self, active: Sequence[int], label: int, rate: int) -> None:
        """Takes a step of `rate` (65536 reaches the margin) towards the label, and one away from
        every other class; a label below 0 is no class."""
        rows, count = self._rows, len(active)
        sums = TRAINING.sums(rows, active, self.classes)
        middle, margin = count * TRAINING.offset, isqrt(count * UNIT) * _ROOT
        low, step = middle - margin, rate // count
        down = [(total - low) * step >> 16 if total > low else 0 for total in sums]
        up = 0
        if label >= 0:
            down[label] = 0
            short = middle + margin - sums[label]
            if short > 0:
                up = (short * step >> 16) << (_FIELD_BITS * label)
        change = up - int.from_bytes(array(TRAINING.code, down).tobytes(), "little")
        if change:
            for bucket in active:
                rows[bucket] += change

    def top_two(self, active: Sequence[int]) -> tuple[int, float, float]:
        """The best class, its score, and the score of the next one."""
        sums = list(TRAINING.sums(self._rows, active, self.classes))
        unit = UNIT * len(active) ** 0.5
        middle = len(active) * TRAINING.offset
        best = sums.index(max(sums))
        top = sums.pop(best)
        second = max(sums, default=top)
        return best, (top - middle) / unit, (second - middle) / unit

    def scores(self, active: Sequence[int]) -> list[float]:
        """Of every class."""
        unit = UNIT * len(active) ** 0.5
        middle = len(active) * TRAINING.offset
        sums = TRAINING.sums(self._rows, active, self.classes)
        return [(total - middle) / unit for total in sums]

    def check(self) -> None:
        """Raises OverflowError if a weight does not fit its field."""
        guard = self._in_every_field((1 << _FIELD_BITS) - 2 * TRAINING.offset)
        if reduce(or_, self._rows) & guard:
            raise OverflowError("a weight has grown beyond 64; the labels cannot be learned")

    def weights(self) -> Iterator[list[int]]:
        """The rows as signed weights."""
        for row in self._rows:
            fields = array(TRAINING.code, row.to_bytes(TRAINING.size * self.classes, "little"))
            yield [weight - TRAINING.offset for weight in fields]

    def to_bytes(self) -> bytes:
        size = TRAINING.size * self.classes
        return zlib.compress(b"".join([row.to_bytes(size, "little") for row in self._rows]), 1)

    @classmethod
    def from_bytes(cls, classes: int, data: bytes) -> "Learner":
        size = TRAINING.size * classes
        flat = zlib.decompress(data)
        rows = [int.from_bytes(flat[at : at + size], "little") for at in range(0, len(flat), size)]
        return cls(classes, rows)

    def _in_every_field(self, value: int) -> int:
        field = value.to_bytes(TRAINING.size, "little")
        return int.from_bytes(field * self.classes, "little")
