"""The dense vectors of examples and the weights of a model for them, as values. What they are of is
named: weights that were learned for one table of word vectors mean nothing for another one."""

from array import array
from dataclasses import dataclass

from edgeneuro.classifier.vectors import WIDTH, VectorTable


@dataclass(frozen=True)
class DenseVectors:
    """A vector of `width` signed bytes for each example, one after another in `data`; all 0 where
    an example has none. A vector is `parts` vectors of the norm vectors.NORM, joined. `source`
    names what made them: a table of word vectors (VectorTable.id), an embedding model."""

    source: str = ""
    width: int = 0
    parts: int = 1
    data: bytes = b""

    def __getitem__(self, index: int) -> bytes | None:
        start = index * self.width
        vector = self.data[start : start + self.width]
        return vector if any(vector) else None


NO_VECTORS = DenseVectors()
KEPT_NUMBERS = 512_000  # of the vectors that a training keeps: 2,000 word vectors


class WordVectors:
    """The word vectors of examples, each made when it is needed: the pieces of a text are a tenth
    of its vector, and 50,000 labels must fit an isolate. The first few are kept, as each of them is
    needed 70 times. `pieces` are those of all examples, one after another, and `ends` where those
    of each one end."""

    width, parts = WIDTH, 1

    def __init__(self, table: VectorTable, pieces: "array[int]", ends: "array[int]") -> None:
        self.source, self.pieces, self.ends = table.id, pieces, ends
        self._table = table
        self._kept: dict[int, bytes | None] = {}

    def __getitem__(self, index: int) -> bytes | None:
        if index in self._kept:
            return self._kept[index]
        start = self.ends[index - 1] if index else 0
        vector = self._table.of_pieces(self.pieces[start : self.ends[index]])
        if len(self._kept) < KEPT_NUMBERS // WIDTH:
            self._kept[index] = vector
        return vector

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WordVectors):
            return False
        same = self._table is other._table and self.source == other.source
        return same and self.pieces == other.pieces and self.ends == other.ends


def vectors_to_bytes(vectors: DenseVectors | WordVectors) -> tuple[list[str | int], bytes]:
    """What a header says of them, and their bytes."""
    head: list[str | int] = [vectors.source, vectors.width, vectors.parts]
    if isinstance(vectors, DenseVectors):
        return [*head, 0], vectors.data
    return [*head, len(vectors.ends)], vectors.ends.tobytes() + vectors.pieces.tobytes()


def vectors_from_bytes(
    head: list[str | int], data: bytes, table: VectorTable | None
) -> DenseVectors | WordVectors:
    """Raises ValueError if they are word vectors of another table."""
    source, width, parts, ends = head
    if not ends:
        return DenseVectors(str(source), int(width), int(parts), data)
    if table is None or table.id != source:
        raise ValueError(CHANGED)
    size = array("I").itemsize * int(ends)
    return WordVectors(table, array("H", data[size:]), array("I", data[:size]))


CHANGED = "the word vectors have changed since this training began; start a new one"


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
