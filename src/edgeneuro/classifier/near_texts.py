"""How near a text comes to single texts that a class was learned from.

The learner finds how the classes differ. Whether a text is like anything that was
learned at all, it says badly, and with few labels it cannot say which of two wide topics has a text
of just this kind. So each class keeps some of its texts. The classes with the best scores gain or
lose by how near the nearest of these is, and the second best score is raised for a text that is not
near to the best class, before the curve makes a probability of the two: at training and in service
alike.

Of each text the first numbers of the word vector are kept, those with the most variance: with 64 of
the 256 no row of docs/classifier-design.md is worse. Integers until the last step. Not where most
labels are machine labels, some of which are wrong: there familiar.py has means of many texts.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from math import sqrt
from operator import mul
from typing import NamedTuple

from edgeneuro.classifier.dense import WordVectors
from edgeneuro.classifier.examples import Examples
from edgeneuro.classifier.learner import SERVING
from edgeneuro.classifier.sources import MODEL
from edgeneuro.classifier.vectors import rounded

WIDTH = 64
MAX_TEXTS = 32  # of a class
_UNIT = 127  # the norm of a kept text; a product with a vector fits two bytes
_ZERO = SERVING.offset  # the byte of the number 0
_MIDDLE = 1 << 15
_NO_SCORE = float("-inf")
_BEST = 3  # classes whose scores change
# What a cosine of 1 adds to the score of a class, and the cosine that adds nothing.
_WEIGHT, _NEUTRAL = 0.5, 0.5
# What a cosine of 0 adds to the second best score more than one of 1, and the cosine of usual
# texts, which adds nothing.
_DOUBT, _USUAL = 1.0, 0.65
_DIGITS = 6


class _Numbers(NamedTuple):
    """The first numbers of a text's vector, and their norm."""

    numbers: Sequence[int]
    norm: float


@dataclass(frozen=True)
class NearTexts:
    """By class, `sizes` says how many texts are kept. `numbers` has for each class, one after
    another, WIDTH rows of a byte for each of its texts: the number + 128."""

    sizes: tuple[int, ...]
    numbers: bytes = field(repr=False)

    @cached_property
    def _starts(self) -> Sequence[int]:
        return [0, *accumulate(self.sizes)]

    @cached_property
    def _texts(self) -> dict[int, "_Texts"]:
        """By class, those that were needed: to unpack all of them would take as long as the rest of
        the model."""
        return {}

    def judge(self, scores: Sequence[float], vector: bytes | None) -> tuple[Sequence[float], float]:
        """The scores of the classes, the best ones changed by how near this text comes to them, and
        what is added to the second best one. There may be more classes than have texts."""
        text = None if vector is None else _first(vector)
        if text is None:
            return scores, 0.0
        changed, rest = list(scores), list(scores)
        cosines: dict[int, float | None] = {}
        for _ in range(min(_BEST, len(rest))):
            at = rest.index(max(rest))
            rest[at] = _NO_SCORE
            cosine = cosines[at] = self._cosine(at, text)
            if cosine is not None:
                changed[at] += round(_WEIGHT * (cosine - _NEUTRAL), _DIGITS)
        top = changed.index(max(changed))
        cosine = cosines[top] if top in cosines else self._cosine(top, text)
        return changed, 0.0 if cosine is None else round(_DOUBT * (_USUAL - cosine), _DIGITS)

    def _cosine(self, at: int, text: _Numbers) -> float | None:
        """With the nearest text of this class; None if it has none."""
        if at >= len(self.sizes) or not self.sizes[at]:
            return None
        if at not in self._texts:
            start, size = self._starts[at], self.sizes[at]
            self._texts[at] = _Texts(self.numbers[WIDTH * start : WIDTH * (start + size)], size)
        return self._texts[at].nearest(text.numbers) / (_UNIT * text.norm)


class _Texts:
    """Those of one class: a packed integer for each number, with a signed field for each text."""

    def __init__(self, numbers: bytes, size: int) -> None:
        spread = bytearray(SERVING.size * len(numbers))
        spread[:: SERVING.size] = numbers
        self._bytes = SERVING.size * size
        ones = int.from_bytes(b"\1\0" * size, "little")
        self._rows = [
            int.from_bytes(spread[at : at + self._bytes], "little") - _ZERO * ones
            for at in range(0, len(spread), self._bytes)
        ]
        self._middle = _MIDDLE * ones

    def nearest(self, numbers: Sequence[int]) -> int:
        """The product with the nearest text."""
        packed: int = sum(map(mul, self._rows, numbers)) + self._middle
        fields = array(SERVING.code, packed.to_bytes(self._bytes, "little"))
        highest: int = max(fields)
        return highest - _MIDDLE


def near_texts(examples: Examples, learned: Sequence[int]) -> NearTexts | None:
    """Of the examples that a pass has learned, evenly chosen. None without word vectors, or where
    most labels are machine labels."""
    if not isinstance(examples.vectors, WordVectors) or _mostly_machine(examples):
        return None
    own: list[list[int]] = [[] for _ in examples.classes]
    for at in learned:
        if examples.labels[at] >= 0 and examples.vectors.ends[at] > _start(examples.vectors, at):
            own[examples.labels[at]].append(at)
    sizes, numbers = [], []
    for members in own:
        count = min(len(members), MAX_TEXTS)
        kept = [members[place * len(members) // count] for place in range(count)]
        texts = [_scaled(examples.vector(at)) for at in kept]
        sizes.append(count)
        numbers.append(bytes([text[place] + _ZERO for place in range(WIDTH) for text in texts]))
    return NearTexts(tuple(sizes), b"".join(numbers))


def _start(vectors: WordVectors, at: int) -> int:
    return vectors.ends[at - 1] if at else 0


def _mostly_machine(examples: Examples) -> bool:
    inside = [
        source
        for source, label in zip(examples.sources, examples.labels, strict=True)
        if label >= 0
    ]
    return 2 * inside.count(MODEL) > len(inside)


def _first(vector: bytes) -> _Numbers | None:
    numbers = memoryview(vector).cast("b")[:WIDTH].tolist()
    square = sum(map(mul, numbers, numbers))
    return _Numbers(numbers, sqrt(square)) if square else None


def _scaled(vector: bytes | None) -> list[int]:
    """The first numbers of a vector with the norm _UNIT; 0 of a text that has none."""
    numbers = [0] * WIDTH if vector is None else memoryview(vector).cast("b").tolist()[:WIDTH]
    return rounded(numbers, _UNIT)
