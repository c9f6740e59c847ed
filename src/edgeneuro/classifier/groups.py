"""Labels that differ in a few words only, say in a number or a name: variants of one question. They
are held out together and count as one, or they would vouch for each other.

Two labels of one agent are variants if they have 45 % of their buckets in common; variants of
variants belong together. Which pairs are compared is found by MinHash: the buckets are hashes
already, so the first bucket after a fixed place is one.
"""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence

from edgeneuro.classifier.features import BUCKETS

_SIMILARITY = 0.45  # of the sets of buckets, by Jaccard
_BANDS = 8  # of two MinHashes each; one band that two labels share has them compared
_COMMON = 0.5  # buckets of more than this share of the labels tell nothing apart
_PLACES = range(0, BUCKETS, BUCKETS // (2 * _BANDS))


def variants(
    labels: Sequence[int],
    active: Callable[[int], Sequence[int]],
    buckets: "array[int]",
) -> "array[int]":
    """For each label the index of the first of its group. `active(index)` are the buckets of a
    label, `buckets` those of all."""
    most = _COMMON * len(labels)
    common = {bucket for bucket, count in Counter(buckets).items() if count > most}
    first = array("I", range(len(labels)))
    sets: list[frozenset[int]] = []
    seen: dict[tuple[int, int, int, int], int] = {}
    for index, label in enumerate(labels):
        own = [bucket for bucket in active(index) if bucket not in common]
        sets.append(frozenset(own))
        root = index
        if not own:
            continue
        places = [bisect_left(own, place) for place in _PLACES]
        least = [own[place] if place < len(own) else own[0] for place in places]
        for band in range(_BANDS):
            key = (label, band, least[band], least[band + _BANDS])
            other = seen.get(key)
            if other is not None and _root(first, other) != root:
                both = len(sets[index] & sets[other])
                if both >= _SIMILARITY * (len(sets[index]) + len(sets[other]) - both):
                    root = _join(first, root, other)
            seen[key] = index
    return array("I", [_root(first, index) for index in range(len(labels))])


def held_out_together(
    groups: "array[int]", labels: Sequence[int], similar: Sequence[int]
) -> "array[int]":
    """The same for the groups that a fold keeps together: those of an agent with similar questions,
    which have the same number in `similar`."""
    first = array("I", groups)
    twins: dict[tuple[int, int], int] = {}
    for index, label in enumerate(labels):
        _join(first, index, twins.setdefault((label, similar[index]), index))
    return array("I", [_root(first, index) for index in range(len(labels))])


def _root(first: "array[int]", index: int) -> int:
    while first[index] != index:
        first[index] = first[first[index]]
        index = first[index]
    return index


def _join(first: "array[int]", one: int, other: int) -> int:
    low, high = sorted((_root(first, one), _root(first, other)))
    first[high] = low
    return low
