"""The weights of a model as a scorer adds them: a packed integer for each row."""

from array import array
from operator import mul

from edgeneuro.classifier.dense import DenseWeights
from edgeneuro.classifier.learner import SERVING
from edgeneuro.classifier.model import ZERO
from edgeneuro.classifier.vectors import NORM

_DENSE_MIDDLE = 1 << 15


def packed_rows(weights: bytes, classes: int) -> list[int]:
    """A row of one byte per class for each bucket, as integers with a field per class."""
    spread = bytearray(SERVING.size * len(weights))
    spread[:: SERVING.size] = weights
    size = SERVING.size * classes
    return [int.from_bytes(spread[at : at + size], "little") for at in range(0, len(spread), size)]


class DenseRows:
    """The weights for vectors, as integers with a signed field per class."""

    def __init__(self, dense: DenseWeights, classes: int) -> None:
        self._size, ones = SERVING.size * classes, packed_rows(b"\1" * classes, classes)[0]
        self._rows = [row - ZERO * ones for row in packed_rows(dense.weights, classes)]
        self._middle, self._unit = _DENSE_MIDDLE * ones, dense.scale / NORM

    def scores(self, vector: bytes) -> list[float]:
        numbers = memoryview(vector).cast("b")
        packed = sum(map(mul, self._rows, numbers)) + self._middle
        fields = array(SERVING.code, packed.to_bytes(self._size, "little"))
        return [(field - _DENSE_MIDDLE) * self._unit for field in fields]
