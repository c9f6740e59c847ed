"""The linear learner: one-versus-rest squared hinge loss, one example at a time. A text of no class
is a counter-example to all, so a model need not choose among its classes.

Weights are integers in units of 2^-16: whoever learns the same examples in the same order gets the
same weights to the bit.
"""

import zlib
from array import array
from collections.abc import Iterator, Sequence
from math import isqrt

from edgeneuro.classifier.features import ROWS
from edgeneuro.classifier.lanes import WIDE

UNIT = 1 << 16  # the weight 1
_ROOT = 1 << 8  # of UNIT
_LANE_BITS = 8 * WIDE.size


class Learner:
    """`rows` are the weights, a bucket a row."""

    def __init__(self, classes: int, rows: list[int] | None = None) -> None:
        self.classes = classes
        lanes = self._every_lane(WIDE.offset)
        self._rows = [lanes] * ROWS if rows is None else rows

    def learn(self, active: Sequence[int], label: int, rate: int) -> None:
        """Take a step of `rate` (65536 goes all the way to the margin) towards the label, and away
        from every other class; a label below 0 is no class."""
        rows, count = self._rows, len(active)
        sums = WIDE.sums(rows, active, self.classes)
        middle, margin = count * WIDE.offset, isqrt(count * UNIT) * _ROOT
        low, step = middle - margin, rate // count
        down = [(total - low) * step >> 16 if total > low else 0 for total in sums]
        up = 0
        if label >= 0:
            down[label] = 0
            short = middle + margin - sums[label]
            if short > 0:
                up = (short * step >> 16) << (_LANE_BITS * label)
        change = up - int.from_bytes(array(WIDE.code, down).tobytes(), "little")
        if change:
            for bucket in active:
                rows[bucket] += change

    def top_two(self, active: Sequence[int]) -> tuple[int, float, float]:
        """The best class, its score, and the score of the next one."""
        sums = list(WIDE.sums(self._rows, active, self.classes))
        unit = UNIT * len(active) ** 0.5
        middle = len(active) * WIDE.offset
        best = sums.index(max(sums))
        top = sums.pop(best)
        second = max(sums, default=top)
        return best, (top - middle) / unit, (second - middle) / unit

    def check(self) -> None:
        """Raises OverflowError where a weight has left its lane."""
        guard = self._every_lane((1 << _LANE_BITS) - 2 * WIDE.offset)
        if any(row & guard for row in self._rows):
            raise OverflowError("a weight has grown beyond 64; the labels cannot be learned")

    def weights(self) -> Iterator[list[int]]:
        """The rows as signed weights."""
        for row in self._rows:
            lanes = array(WIDE.code, row.to_bytes(WIDE.size * self.classes, "little"))
            yield [weight - WIDE.offset for weight in lanes]

    def to_bytes(self) -> bytes:
        size = WIDE.size * self.classes
        return zlib.compress(b"".join([row.to_bytes(size, "little") for row in self._rows]), 1)

    @classmethod
    def from_bytes(cls, classes: int, data: bytes) -> "Learner":
        size = WIDE.size * classes
        flat = zlib.decompress(data)
        rows = [int.from_bytes(flat[at : at + size], "little") for at in range(0, len(flat), size)]
        return cls(classes, rows)

    def _every_lane(self, value: int) -> int:
        lane = value.to_bytes(WIDE.size, "little")
        return int.from_bytes(lane * self.classes, "little")
