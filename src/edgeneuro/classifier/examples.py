"""What is learned from: labels made ready once, in an order that is always the same, packed so
small that they can be kept between the slices of a training.

Of labels for the same question the majority counts; where there is none, all of them are dropped.
"""

import hashlib
import json
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from edgeneuro import bounded_json
from edgeneuro.classifier.features import FEATURES_VERSION, features
from edgeneuro.domain.query import near_hash, query_hash

FOLDS = 5
OUT_OF_SCOPE = -1  # the label says that no agent fits
_CONFLICT = ""  # no agent's id


@dataclass(frozen=True)
class Labelled:
    """A question and its right agent; None says that no agent fits."""

    query: str
    agent_id: str | None


@dataclass(frozen=True)
class Examples:
    """`labels` are places in `classes` (the agents' ids, sorted) or OUT_OF_SCOPE.
    `folds` go by what near-duplicates share, so that they never straddle."""

    classes: tuple[str, ...]
    conflicts: int
    labels: "array[int]"
    folds: "array[int]"
    offsets: "array[int]"
    buckets: "array[int]"

    def __len__(self) -> int:
        return len(self.labels)

    def active(self, index: int) -> "array[int]":
        return self.buckets[self.offsets[index] : self.offsets[index + 1]]

    def counts(self) -> dict[int, int]:
        return Counter(self.labels)

    def digest(self) -> str:
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        parts = (self.labels, self.folds, self.offsets, self.buckets)
        header = {
            "features": FEATURES_VERSION,
            "classes": self.classes,
            "conflicts": self.conflicts,
            "sizes": [len(part) * part.itemsize for part in parts],
        }
        head = json.dumps(header).encode()
        return b"\n".join((head, b"".join(part.tobytes() for part in parts)))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Examples":
        head, _, body = data.partition(b"\n")
        header = bounded_json.loads(head)
        if header["features"] != FEATURES_VERSION:
            raise ValueError("the examples are of another version of the features; prepare anew")
        parts, at = [], 0
        for code, size in zip("hbIH", header["sizes"], strict=True):
            parts.append(array(code, body[at : at + size]))
            at += size
        return cls(tuple(header["classes"]), header["conflicts"], *parts)


def prepare(labels: Iterable[Labelled]) -> Examples:
    """The examples of the labels, in whatever order they come."""
    settled, conflicts = _settle(labels)
    classes = tuple(sorted({agent for _, agent in settled if agent is not None}))
    place: dict[str | None, int] = {agent: number for number, agent in enumerate(classes)}
    place[None] = OUT_OF_SCOPE
    made = Examples(classes, conflicts, array("h"), array("b"), array("I", [0]), array("H"))
    for text, agent in settled:
        made.labels.append(place[agent])
        made.folds.append(int(near_hash(text)[:8], 16) % 100 * FOLDS // 100)
        made.buckets.extend(features(text))
        made.offsets.append(len(made.buckets))
    return made


def _settle(labels: Iterable[Labelled]) -> tuple[list[tuple[str, str | None]], int]:
    """Each question once, by its hash, and the number of those that were dropped."""
    votes: defaultdict[str, Counter[str | None]] = defaultdict(Counter)
    texts: dict[str, str] = {}
    for labelled in labels:
        key = query_hash(labelled.query)
        votes[key][labelled.agent_id] += 1
        # One spelling of the question, whichever came first.
        texts[key] = min(texts.get(key, labelled.query), labelled.query)
    settled = [(texts[key], _majority(votes[key])) for key in sorted(votes)]
    kept = [(text, agent) for text, agent in settled if agent != _CONFLICT]
    return kept, len(settled) - len(kept)


def _majority(votes: Counter[str | None]) -> str | None:
    (agent, most), *others = votes.most_common(2)
    return _CONFLICT if others and others[0][1] == most else agent
