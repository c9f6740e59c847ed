"""The dense vectors of examples and the weights of a model for them, as values. What they are of is
named: weights that were learned for one table of word vectors mean nothing for another one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DenseVectors:
    """A vector of `width` signed bytes for each example, one after another in `data`; all 0 where
    an example has none. A vector is `parts` vectors of the norm vectors.NORM, joined. `source`
    names what made them: a table of word vectors (VectorTable.id), an embedding model."""

    source: str = ""
    width: int = 0
    parts: int = 1
    data: bytes = b""

    def of(self, index: int) -> bytes | None:
        start = index * self.width
        vector = self.data[start : start + self.width]
        return vector if any(vector) else None


NO_VECTORS = DenseVectors()


@dataclass(frozen=True)
class DenseWeights:
    """`weights` has a row of one signed byte per class for each number of a vector, offset as those
    of the buckets; a weight is (byte - 128) * `scale`, for a vector with the norm 1. The rest is
    that of DenseVectors."""

    source: str
    width: int
    parts: int
    scale: float
    weights: bytes
