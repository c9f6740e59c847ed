"""A model that knows a data set and is wrong in a stated share of its queries.

Each line of the data is {"query", "agent"}: the agent is the class of the query, null where none
fits. A query that none fits is always recognised. Of the others the stated share is right; a
wrong answer is always one of the three classes whose queries have the most alike words, as a real
model's would be.

"independent" mistakes are drawn by a hash of the query, each alone. "systematic" ones are drawn by
groups of alike queries of one class, of which each is always wrong in the same way.

A wrong answer is a bit less sure than a right one on average, and often just as sure."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Mistakes = Literal["independent", "systematic"]
_WORD = re.compile(r"[^\W_]+")
_NEAREST = 3  # classes that a wrong answer may name
_QUERIES_A_GROUP = 8  # alike ones that are wrong together, about
_RIGHT_CONFIDENCE, _WRONG_CONFIDENCE = (0.86, 0.995), (0.72, 0.98)
_UNKNOWN_CONFIDENCE = 0.6  # of a query that is not in the data
Words = Mapping[str, float]


@dataclass(frozen=True)
class Said:
    """`agent` None: none fits."""

    agent: str | None
    confidence: float


class DatasetTable:
    """What the model says of each query of the files."""

    def __init__(
        self,
        lines: Iterable[Mapping[str, Any]],
        *,
        right: float,
        mistakes: Mistakes,
        seed: int,
    ) -> None:
        self._seed = seed
        truths: dict[str, str | None] = {
            _key(line["query"]): line["agent"]
            for line in lines
            if isinstance(line.get("query"), str)
        }
        self._truths = truths
        self._idf = _idf(truths)
        self._centroids = self._class_centroids()
        self._near = {name: self._nearest_classes(name) for name in self._centroids}
        known = sorted(query for query, truth in truths.items() if truth is not None)
        drawn = self._independent if mistakes == "independent" else self._systematic
        self._wrong = drawn(known, 1 - right) if len(self._centroids) > 1 else {}

    @classmethod
    def of_files(
        cls, paths: Sequence[Path], *, right: float, mistakes: Mistakes, seed: int
    ) -> DatasetTable:
        """Raises OSError, or ValueError for a line that is no object with a query and a class."""
        lines = []
        for path in paths:
            with path.open(encoding="utf-8") as file:
                lines += [json.loads(line) for line in file if line.strip()]
        if not all(isinstance(line, dict) and "agent" in line for line in lines):
            raise ValueError("each line has to be an object with 'query' and 'agent'")
        return cls(lines, right=right, mistakes=mistakes, seed=seed)

    def truth(self, query: str) -> str | None:
        """Raises KeyError for a query that is not in the data."""
        return self._truths[_key(query)]

    def answer(self, query: str) -> Said:
        """Of a query that is not in the data the class with the most alike words."""
        key = _key(query)
        if key not in self._truths:
            words = self._vector(key)
            best = max(self._centroids, key=lambda name: _dot(words, self._centroids[name]))
            close = _dot(words, self._centroids[best]) > 0
            return Said(best if close else None, _UNKNOWN_CONFIDENCE)
        wrong = self._wrong.get(key)
        low, high = _RIGHT_CONFIDENCE if wrong is None else _WRONG_CONFIDENCE
        confidence = round(low + (high - low) * self._draw("confidence", key), 3)
        return Said(self._truths[key] if wrong is None else wrong, confidence)

    def near(self, name: str) -> Sequence[str]:
        """The classes that are nearest to this one."""
        return self._near.get(name, ())

    def _independent(self, known: Sequence[str], share: float) -> dict[str, str]:
        return {
            query: self._other_class(query, query)
            for query in known
            if self._draw("wrong", query) < share
        }

    def _systematic(self, known: Sequence[str], share: float) -> dict[str, str]:
        """Groups in a random order until the share is reached."""
        groups = self._groups(known)
        wrong: dict[str, str] = {}
        for pivot in sorted(groups, key=lambda each: self._draw("group", each)):
            if len(wrong) >= share * len(known):
                break
            said = self._other_class(pivot, pivot)
            wrong |= dict.fromkeys(groups[pivot], said)
        return wrong

    def _groups(self, known: Sequence[str]) -> dict[str, list[str]]:
        """Alike queries of one class: each with the one of some queries, drawn by hash, that it has
        most words in common with."""
        of_class: dict[str, list[str]] = defaultdict(list)
        for query in known:
            of_class[self._truths[query] or ""].append(query)
        groups: dict[str, list[str]] = defaultdict(list)
        for queries in of_class.values():
            drawn = sorted(queries, key=lambda each: self._draw("pivot", each))
            pivots = [
                (each, self._vector(each))
                for each in drawn[: max(1, len(queries) // _QUERIES_A_GROUP)]
            ]
            for query in queries:
                words = self._vector(query)
                groups[max(pivots, key=lambda each: _dot(words, each[1]))[0]].append(query)
        return groups

    def _other_class(self, drawn_by: str, query: str) -> str:
        near = self._near[self._truths[query] or ""]
        return near[int(self._draw("other", drawn_by) * len(near))]

    def _draw(self, what: str, text: str) -> float:
        """From 0 to 1, the same for the same text."""
        digest = hashlib.sha256(f"{self._seed} {what} {text}".encode()).digest()
        return int.from_bytes(digest[:6], "big") / (1 << 48)

    def _vector(self, query: str) -> Words:
        return _unit({word: self._idf.get(word, 0.0) for word in _WORD.findall(query)})

    def _class_centroids(self) -> dict[str, Words]:
        sums: dict[str, Counter[str]] = defaultdict(Counter)
        for query, truth in self._truths.items():
            if truth is not None:
                sums[truth].update(self._vector(query))
        return {name: _unit(words) for name, words in sorted(sums.items())}

    def _nearest_classes(self, name: str) -> list[str]:
        own = self._centroids[name]
        others = [each for each in self._centroids if each != name]
        others.sort(key=lambda each: -_dot(own, self._centroids[each]))
        return others[:_NEAREST]


def _key(query: str) -> str:
    return " ".join(query.casefold().split())


def _idf(queries: Iterable[str]) -> dict[str, float]:
    found = [set(_WORD.findall(query)) for query in queries]
    counts = Counter(word for words in found for word in words)
    return {word: math.log(1 + len(found) / count) for word, count in counts.items()}


def _unit(words: Mapping[str, float]) -> Words:
    length = math.sqrt(sum(weight * weight for weight in words.values()))
    return {word: weight / length for word, weight in words.items()} if length else {}


def _dot(one: Words, other: Words) -> float:
    small, large = sorted((one, other), key=len)
    return sum(weight * large[word] for word, weight in small.items() if word in large)
