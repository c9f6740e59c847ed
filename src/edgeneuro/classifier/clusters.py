"""Groups of alike texts, from their vectors (classifier/vectors.py): leader clustering, then some
rounds of spherical k-means that merge close groups. Pure, deterministic, and integers all the way.

The work is the product of every vector with every centroid. For each dimension the centroids'
numbers are packed into one integer with a lane of 32 bits each, so that one product of Python
integers multiplies a number of the text with all centroids. Measured for 2,000 texts with
`python -m bench.clusters`."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isqrt
from zlib import crc32

from edgeneuro.classifier.features import features

ALONE = -1  # the group of a text that is in none
ROUNDS = 3
_LANES = {2: "H", 4: "I"}  # bytes, and the code of an array of them
_UNIT = 1_000  # the length of a centroid
_WIDTH = 256  # of a vector of n-grams
_LENGTH = 127  # of a vector of n-grams, about that of text_vector
# A text that is like none of so many first groups stays alone: the time is bounded.
_MAX_LEADERS = 700


@dataclass(frozen=True)
class Likeness:
    """Cosines in thousandths: a text founds a group of its own unless it is so much like a `first`
    group; it joins a settled group it is so much like (`join`); groups this close are one
    (`merge`)."""

    first: int
    join: int
    merge: int


# By search over five draws of 15 intents (bench/clusters.py draws others).
OF_WORDS = Likeness(first=550, join=450, merge=600)
OF_NGRAMS = Likeness(first=400, join=300, merge=450)


def ngram_vector(query: str) -> bytes | None:
    """A vector for a text of which no word is known: its hashed words and runs of characters,
    folded into few dimensions by signs, as int8. None for a text without a word."""
    sums = [0] * _WIDTH
    active = features(query)[:-1]  # the last one is in every text
    for bucket in active:
        code = crc32(bucket.to_bytes(2, "little"))
        sums[code % _WIDTH] += 1 if code & 0x8000_0000 else -1
    length = _norm(sums)
    if not length:
        return None
    return array("b", [one * _LENGTH // length for one in sums]).tobytes()


class FirstGroups:
    """One pass over the texts: each joins the group that it is most like, or founds one. The
    centroid follows its texts."""

    def __init__(self, likeness: Likeness) -> None:
        self._first = likeness.first
        self._leaders = Centroids()
        self._sums: list[list[int]] = []
        self._sizes: list[int] = []

    def place(self, packed: bytes) -> int:
        vector = _numbers(packed)
        best, dot = self._leaders.nearest(vector)
        if best is None or dot < self._first * _norm(vector) * _UNIT // 1_000:
            return self._found(vector)
        self._sums[best] = [a + b for a, b in zip(self._sums[best], vector, strict=True)]
        self._sizes[best] += 1
        # A move costs as much as a comparison, and the later ones are small.
        if self._sizes[best].bit_count() == 1:
            self._leaders.move(best, _unit(self._sums[best]))
        return best

    def _found(self, vector: list[int]) -> int:
        if len(self._sums) == _MAX_LEADERS:
            return ALONE
        self._sums.append(vector)
        self._sizes.append(1)
        self._leaders.add(_unit(vector))
        return len(self._sums) - 1


class GroupSums:
    """The texts of each group, added up for the next round."""

    def __init__(self) -> None:
        self.sums: dict[int, list[int]] = {}
        self.sizes: dict[int, int] = {}

    def add(self, packed: bytes, group: int) -> None:
        if group == ALONE:
            return
        vector, before = _numbers(packed), self.sums.get(group)
        self.sizes[group] = self.sizes.get(group, 0) + 1
        self.sums[group] = (
            vector if before is None else [a + b for a, b in zip(before, vector, strict=True)]
        )


class SettledGroups:
    """A round of k-means: groups with fewer than `smallest` texts are dissolved, close ones are
    merged, and every text joins the centroid that it is most like, or stays alone."""

    def __init__(self, groups: GroupSums, likeness: Likeness, *, smallest: int) -> None:
        self._join = likeness.join
        self._centroids = Centroids()
        kept = [groups.sums[at] for at in sorted(groups.sums) if groups.sizes[at] >= smallest]
        for one in _merged(kept, likeness.merge):
            self._centroids.add(_unit(one))

    def place(self, packed: bytes) -> int:
        vector = _numbers(packed)
        best, dot = self._centroids.nearest(vector)
        if best is None or dot < self._join * _norm(vector) * _UNIT // 1_000:
            return ALONE
        return best


def clusters_of(
    vectors: Sequence[bytes], groups: Sequence[int], *, smallest: int
) -> list[list[int]]:
    """The indices of the texts of each group, the most typical first; the largest group first.
    Groups with fewer than `smallest` texts are left out."""
    members: dict[int, list[int]] = {}
    for index, group in enumerate(groups):
        if group != ALONE:
            members.setdefault(group, []).append(index)
    large = [each for each in members.values() if len(each) >= smallest]
    return sorted((_by_likeness(vectors, each) for each in large), key=lambda each: -len(each))


def _by_likeness(vectors: Sequence[bytes], members: Sequence[int]) -> list[int]:
    numbers = [_numbers(vectors[index]) for index in members]
    centroid = _unit(_added(numbers))
    likeness = [
        _UNIT * sum(map(int.__mul__, each, centroid)) // max(1, _norm(each)) for each in numbers
    ]
    order = sorted(range(len(members)), key=lambda at: (-likeness[at], members[at]))
    return [members[at] for at in order]


class Centroids:
    """Vectors, a lane of so many bytes each, which no product with another vector may exceed with
    its sign. `half` is added to each product."""

    def __init__(self, lane_bytes: int = 4) -> None:
        self._lane, self._bits = lane_bytes, 8 * lane_bytes
        self.half = 1 << (self._bits - 1)
        self._vectors: list[list[int]] = []
        self._rows: list[int] = []
        self._offset = 0  # makes every lane positive

    def add(self, vector: list[int]) -> None:
        if not self._rows:
            self._rows = [0] * len(vector)
        shift = self._bits * len(self._vectors)
        self._offset += self.half << shift
        self._vectors.append(vector)
        self._rows = [row + (one << shift) for row, one in zip(self._rows, vector, strict=True)]

    def move(self, at: int, vector: list[int]) -> None:
        shift, before = self._bits * at, self._vectors[at]
        self._vectors[at] = vector
        self._rows = [
            row + ((new - old) << shift)
            for row, new, old in zip(self._rows, vector, before, strict=True)
        ]

    def nearest(self, vector: Sequence[int]) -> tuple[int | None, int]:
        """The centroid with the largest product, the first of equal ones, and that product."""
        lanes = self.products(vector)
        if not lanes:
            return None, 0
        highest = max(lanes)
        return lanes.index(highest), highest - self.half

    def products(self, vector: Sequence[int]) -> "array[int]":
        """With every centroid, each plus `half`."""
        together = sum(map(int.__mul__, self._rows, vector), self._offset)
        lanes = array(_LANES[self._lane])
        lanes.frombytes(together.to_bytes(self._lane * len(self._vectors), "little"))
        return lanes


def _merged(sums: Sequence[list[int]], merge: int) -> list[list[int]]:
    """The sums of groups that are close, or close by way of others, are added."""
    centroids = Centroids()
    units = [_unit(each) for each in sums]
    for each in units:
        centroids.add(each)
    first = list(range(len(sums)))

    def root(at: int) -> int:
        while first[at] != at:
            at = first[at]
        return at

    least = merge * _UNIT * _UNIT // 1_000 + centroids.half
    for one, unit in enumerate(units):
        for other, product in enumerate(centroids.products(unit)):
            if other < one and product >= least:
                low, high = sorted((root(one), root(other)))
                first[high] = low
    together: dict[int, list[list[int]]] = {}
    for at, each in enumerate(sums):
        together.setdefault(root(at), []).append(each)
    return [_added(each) for each in together.values()]


def _added(vectors: Sequence[Sequence[int]]) -> list[int]:
    return [sum(column) for column in zip(*vectors, strict=True)]


def _unit(vector: Iterable[int]) -> list[int]:
    numbers = list(vector)
    length = max(1, _norm(numbers))
    return [one * _UNIT // length for one in numbers]


def _norm(vector: Sequence[int]) -> int:
    return isqrt(sum(map(int.__mul__, vector, vector)))


def _numbers(packed: bytes) -> list[int]:
    return memoryview(packed).cast("b").tolist()
