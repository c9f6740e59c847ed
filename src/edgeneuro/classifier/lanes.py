"""One number for a whole row: the weights of all classes as lanes of a Python integer, so that one
addition adds them all. That is 4 to 10 times faster than any loop over classes, in workerd too, and
exact, so that every machine learns the same model.

A lane holds weight + offset, never below 0, and is wide enough for the sum of `most` rows.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from operator import add


@dataclass(frozen=True)
class Lanes:
    """`code` is the lane as array has it, `size` its bytes, `most` how many rows add up in it."""

    code: str
    size: int
    most: int
    offset: int

    def sums(self, rows: Sequence[int], active: Sequence[int], classes: int) -> Sequence[int]:
        """For each class the sum over the active rows, offsets included."""
        most = self.most
        if len(active) <= most:
            return self._lanes(sum([rows[bucket] for bucket in active]), classes)
        totals: Sequence[int] = [0] * classes
        for at in range(0, len(active), most):
            part = sum([rows[bucket] for bucket in active[at : at + most]])
            totals = list(map(add, totals, self._lanes(part, classes)))
        return totals

    def _lanes(self, row: int, classes: int) -> "array[int]":
        return array(self.code, row.to_bytes(self.size * classes, "little"))


# Learning: weights in units of 2^-16, within +-64.
WIDE = Lanes("I", 4, 512, 1 << 22)
# Serving: weights of one signed byte.
NARROW = Lanes("H", 2, 256, 128)
