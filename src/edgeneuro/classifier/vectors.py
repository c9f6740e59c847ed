"""Word vectors: what the words of a text mean, as one short vector of small integers.

A table has a vector for each piece of a word (wordpiece.py). The vector of a text is the sum of
those of its pieces, scaled to the Euclidean norm NORM and rounded: integers all the way, so that it
is the same on every machine.

The set-up builds the table from a pinned package (scripts/word_vectors.py). It has 4 MB, so it is
read when something needs it and never while the Worker starts. Without it the n-grams of
features.py are all there is.
"""

import hashlib
import struct
from array import array
from collections.abc import Sequence
from math import isqrt, sqrt
from operator import add, mul
from pathlib import Path

from edgeneuro.classifier.features import plain
from edgeneuro.classifier.wordpiece import WordPieces, words

WIDTH = 256  # numbers of a vector
NORM = 32  # of a vector; a number of it is in -32 .. 32, and a fifth of them are 0

MAGIC, FORMAT_VERSION = b"EdgeNeuroVectors", 1
HEADER = struct.Struct("<16sIIII")  # magic, version, pieces, width, bytes of the vocabulary
_CHECKSUM_BYTES = 32
# A number of the table is four bits: its value + ZERO, 1 to 15. A byte has two of them, that of the
# first half of a vector in its lower bits.
ZERO = 8
_ROW_BYTES = WIDTH // 2
_LOW = int.from_bytes(b"\x0f" * _ROW_BYTES, "little")
_MAX_SUMMANDS = 17  # of 15 at most, in one byte
_FOLDER, _FILE = "word_vectors", "table.bin"


class VectorsError(ValueError):
    """The table of the word vectors is missing or damaged; the text says which."""


class VectorTable:
    """`id` names exactly this table: 12 hex digits of its checksum."""

    def __init__(self, table_id: str, vocabulary: Sequence[str], rows: bytes) -> None:
        self.id = table_id
        self._pieces, self._rows = WordPieces(vocabulary), rows

    @classmethod
    def from_bytes(cls, data: bytes) -> "VectorTable":
        """Raises VectorsError."""
        body, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
        if len(body) < HEADER.size or not body.startswith(MAGIC):
            raise VectorsError("the file does not begin like a table of word vectors")
        _, version, pieces, width, size = HEADER.unpack_from(body)
        if (version, width) != (FORMAT_VERSION, WIDTH):
            raise VectorsError(f"the table has format {version} and vectors of {width} numbers")
        if len(body) != HEADER.size + size + pieces * _ROW_BYTES:
            raise VectorsError(f"the table has {len(data)} bytes, which is not what it says")
        if hashlib.sha256(body).digest() != checksum:
            raise VectorsError("the checksum of the table is wrong: its bytes were changed")
        start = HEADER.size + size
        vocabulary = body[HEADER.size : start].decode().split("\n")
        return cls(checksum.hex()[:12], vocabulary, body[start:])

    def vector(self, text: str) -> bytes | None:
        """Of a plain text (features.plain); WIDTH signed bytes, or None."""
        return self.of_pieces(self.pieces(text))

    def pieces(self, text: str) -> list[int]:
        """The numbers of the pieces of a plain text; empty if most of its words are not in the
        table as they are: then it is in another language, or no words at all, and the pieces of its
        words mean nothing."""
        found: list[int] = []
        known = unknown = 0
        for word in words(text):
            pieces = self._pieces.of_word(word)
            found += pieces
            if len(pieces) == 1 and word.isascii():
                known += word.isalnum()
            else:
                unknown += 1
        if not known or unknown > known:
            return []
        return found

    def of_pieces(self, pieces: Sequence[int]) -> bytes | None:
        """The vector of a text with these pieces; None of no pieces."""
        return scaled(self._sum(pieces)) if pieces else None

    def _sum(self, pieces: Sequence[int]) -> list[int]:
        total = [-ZERO * len(pieces)] * WIDTH
        for at in range(0, len(pieces), _MAX_SUMMANDS):
            low = high = 0
            for piece in pieces[at : at + _MAX_SUMMANDS]:
                start = piece * _ROW_BYTES
                row = int.from_bytes(self._rows[start : start + _ROW_BYTES], "little")
                low += row & _LOW
                high += row >> 4 & _LOW
            both = low.to_bytes(_ROW_BYTES, "little") + high.to_bytes(_ROW_BYTES, "little")
            total = list(map(add, total, both))
        return total


def scaled(numbers: Sequence[int]) -> bytes | None:
    """Any vector of integers with the norm NORM, as signed bytes; None if all of them are 0."""
    square = sum(map(mul, numbers, numbers))
    if not square:
        return None
    shift = 16 + square.bit_length() // 2
    factor, half = (NORM << shift + 8) // isqrt(square << 16), 1 << shift - 1
    return array("b", [(number * factor + half) >> shift for number in numbers]).tobytes()


def rounded(numbers: Sequence[int], norm: int) -> list[int]:
    """Any vector of integers with about this norm; one of zeros stays."""
    length = isqrt(sum(map(mul, numbers, numbers))) or 1
    return [max(-norm, min(norm, (2 * one * norm + length) // (2 * length))) for one in numbers]


def cosine(one: bytes, other: bytes) -> float:
    """Of two vectors of signed bytes; -1 to 1."""
    a, b = memoryview(one).cast("b"), memoryview(other).cast("b")
    square = sum(map(mul, a, a)) * sum(map(mul, b, b))
    return sum(map(mul, a, b)) / sqrt(square) if square else 0.0


def find_table() -> Path | None:
    """The file of the table: beside the package, in the Worker and in the checkout."""
    path = Path(__file__).resolve().parents[2] / _FOLDER / _FILE
    return path if path.exists() else None


class _Loaded:
    """What this process has read: the table, or why there is none."""

    table: VectorTable | None = None
    error: VectorsError | None = None


def load_table() -> VectorTable:
    """The table, which is read once: that takes some 50 ms. Raises VectorsError."""
    if _Loaded.table is None:
        if _Loaded.error is not None:
            raise _Loaded.error
        try:
            _Loaded.table = read_table(find_table())
        except VectorsError as error:
            _Loaded.error = error
            raise
    return _Loaded.table


def read_table(path: Path | None) -> VectorTable:
    """Raises VectorsError."""
    if path is None:
        raise VectorsError("there is no table of word vectors; the set-up makes it")
    try:
        return VectorTable.from_bytes(path.read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        raise VectorsError(f"the table of word vectors cannot be read: {error}") from error


def loaded_table() -> VectorTable | None:
    """The table if it has been read already."""
    return _Loaded.table


def text_vector(query: str) -> bytes | None:
    """WIDTH signed bytes with the norm NORM. None if the table has not been loaded, or does not
    know the words of the text."""
    table = _Loaded.table
    return None if table is None else table.vector(plain(query))
