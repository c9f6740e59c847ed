"""Variants of one question: labels that differ in a few words only, for example in a number or a
name. They are held out together and count as one; otherwise the classifier would be tested on
questions that it was trained on.

Two labels of one agent are variants if they have 45 % of their buckets in common; variants of
variants belong together. MinHash finds the pairs to compare: the buckets are hashes already, so the
first bucket after a fixed place is one.
"""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from operator import eq
from zlib import crc32

from edgeneuro.classifier.features import BUCKETS
from edgeneuro.domain.query import normalise

_SIMILARITY = 0.45  # of the sets of buckets, by Jaccard
_BANDS = 8  # of two MinHashes each; labels that share a band are compared
_COMMON = 0.5  # buckets of more than this share of the labels are ignored
_MIN_ALIKE = 4  # of the 16 MinHashes: labels with 45 % in common rarely share fewer
_PLACES = range(0, BUCKETS, BUCKETS // (2 * _BANDS))


def variants(
    labels: Sequence[int],
    active: Callable[[int], Sequence[int]],
    buckets: "array[int]",
) -> "array[int]":
    """The index of the first label of each label's group. `active(index)` are the buckets of a
    label, `buckets` those of all."""
    most = _COMMON * len(labels)
    common = {bucket for bucket, count in Counter(buckets).items() if count > most}
    first = array("I", range(len(labels)))
    hashes = _min_hashes(len(labels), active, common)
    width = len(_PLACES)
    for band in range(_BANDS):
        seen: dict[int, int] = {}  # a band at a time: all of them would not fit an isolate
        ones, twos = hashes[band::width], hashes[band + _BANDS :: width]
        for index, (label, one, two) in enumerate(zip(labels, ones, twos, strict=True)):
            if one == BUCKETS:
                continue
            key = ((label + 1) * BUCKETS + one) * BUCKETS + two
            other = seen.get(key)
            seen[key] = index
            if other is None or _root(first, other) == _root(first, index):
                continue
            at, before = index * width, other * width
            alike = sum(map(eq, hashes[at : at + width], hashes[before : before + width]))
            if alike < _MIN_ALIKE:
                continue
            mine, others = set(active(index)) - common, set(active(other)) - common
            both = len(mine & others)
            if both >= _SIMILARITY * (len(mine) + len(others) - both):
                _join(first, index, other)
    return array("I", [_root(first, index) for index in range(len(labels))])


def _min_hashes(
    count: int, active: Callable[[int], Sequence[int]], common: set[int]
) -> "array[int]":
    """For each label and each of _PLACES the first bucket from there on, with wrap-around; BUCKETS
    if all are common."""
    found = array("H")
    for index in range(count):
        own = [bucket for bucket in active(index) if bucket not in common]
        size = len(own)
        if size:
            own.append(own[0])
            found.extend([own[bisect_left(own, place, 0, size)] for place in _PLACES])
        else:
            found.extend([BUCKETS] * len(_PLACES))
    return found


def held_out_together(
    groups: "array[int]", labels: Sequence[int], similar: Sequence[int]
) -> "array[int]":
    """The same for the groups that a fold keeps together: labels of one agent with similar
    questions, which have the same number in `similar`."""
    first = array("I", groups)
    twins: dict[tuple[int, int], int] = {}
    for index, label in enumerate(labels):
        _join(first, index, twins.setdefault((label, similar[index]), index))
    return array("I", [_root(first, index) for index in range(len(labels))])


# A reply of many conversations ("no, that is all for today") joins none of them.
_MIN_WORDS, _MAX_TIMES = 4, 5


def text_key(text: str | None) -> int:
    """Finds the same text again; 0: it is too short to be of one conversation."""
    words = normalise(text or "")
    if words.count(" ") < _MIN_WORDS - 1:
        return 0
    return crc32(words.encode("utf-8", "surrogatepass")) or 1


def session_key(session: str | None) -> int:
    return 0 if session is None else crc32(session.encode("utf-8", "surrogatepass")) or 1


def in_one_conversation(
    groups: "array[int]", said: Sequence[int], before: Sequence[int], sessions: Sequence[int]
) -> "array[int]":
    """The same for what a fold keeps together because it is of one conversation: questions of one
    session, and a question with the one that it follows, or those that follow the same one. The
    numbers are those of `text_key` and `session_key`."""
    first = array("I", groups)
    times = Counter(said)
    followed = {key for key in before if key and times[key] <= _MAX_TIMES}
    texts: dict[int, int] = {}
    named: dict[int, int] = {}
    for index, (own, earlier, session) in enumerate(zip(said, before, sessions, strict=True)):
        for key in (own, earlier):
            if key in followed:
                _join(first, index, texts.setdefault(key, index))
        if session:
            _join(first, index, named.setdefault(session, index))
    return array("I", [_root(first, index) for index in range(len(first))])


def _root(first: "array[int]", index: int) -> int:
    while first[index] != index:
        first[index] = first[first[index]]
        index = first[index]
    return index


def _join(first: "array[int]", one: int, other: int) -> int:
    low, high = sorted((_root(first, one), _root(first, other)))
    first[high] = low
    return low
