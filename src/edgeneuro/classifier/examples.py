"""The training examples: labels that are prepared once, in an order that is always the same, and
packed so that they can be stored between the slices of a training.

The product has one label in force for each question. A file may hold a question several times: then
the majority counts. Without a majority all its labels are dropped, since lines have no order. A
label counts instead of a model's decision, and both instead of an agent's text.

A question with the turn before it (domain/conversation.py) is another one in every conversation.
What it says is not learned as that of a single message while the agent stays the same: "yes,
please" is about anything.
"""

import hashlib
import json
from array import array
from collections import Counter
from dataclasses import dataclass
from typing import Any

from edgeneuro import bounded_json
from edgeneuro.classifier.dense import (
    NO_VECTORS,
    DenseVectors,
    WordVectors,
    vectors_from_bytes,
    vectors_to_bytes,
)
from edgeneuro.classifier.features import FEATURES_VERSION
from edgeneuro.classifier.sources import AGENT_TEXT, HUMAN
from edgeneuro.classifier.vectors import VectorTable
from edgeneuro.domain.conversation import NOTHING_BEFORE, PreviousTurn

FOLDS = 5
OUT_OF_SCOPE = -1  # the label says that no agent fits
# Instead of the class of the agent of the turn before: there is no such turn, or no label names the
# agent.
NO_CONTEXT, UNKNOWN_AGENT = -1, -2
KEY_BYTES = 16
_CODES = "hbIHIhBb"  # of the arrays of examples


@dataclass(frozen=True)
class Labelled:
    """A question and its right agent; None: no agent fits. `hard`: it was chosen because a stage
    was unsure of it, so it does not represent the traffic. `previous` is the turn before it, with
    its agent, or nothing; `session` is where both were said. `source` is one of sources.py."""

    query: str
    agent_id: str | None
    hard: bool = False
    previous: PreviousTurn = NOTHING_BEFORE
    session: str | None = None
    source: int = HUMAN


@dataclass(frozen=True)
class Examples:
    """`labels` are indices of `classes` (the agents' ids, sorted) or OUT_OF_SCOPE. `groups` has the
    index of the first variant of each question (groups.py). Similar questions and variants are in
    the same one of the `folds`, and so are the questions of one conversation; folds of hard
    questions and of those in a conversation are negative, with the same remainder by FOLDS.
    `previous` is the class of the agent of the turn before, or one of NO_CONTEXT and UNKNOWN_AGENT;
    `overlaps` are those with the answer of that turn (switch.py), `sources` those of sources.py.
    `keys` are the query hashes, 16 bytes each. `vectors` are those of the texts, if there is a
    table of word vectors."""

    classes: tuple[str, ...]
    conflicts: int
    labels: "array[int]"
    folds: "array[int]"
    offsets: "array[int]"
    buckets: "array[int]"
    groups: "array[int]"
    previous: "array[int]"
    overlaps: "array[int]"
    sources: "array[int]"
    keys: bytes
    vectors: DenseVectors | WordVectors = NO_VECTORS

    def __len__(self) -> int:
        return len(self.labels)

    def active(self, index: int) -> "array[int]":
        return self.buckets[self.offsets[index] : self.offsets[index + 1]]

    def vector(self, index: int) -> bytes | None:
        return self.vectors[index] if self.vectors.width else None

    def query_hash(self, index: int) -> str:
        return self.keys[index * KEY_BYTES : (index + 1) * KEY_BYTES].hex()

    def stands_alone(self, index: int) -> bool:
        """Whether it is learned as a single message: it has no turn before it, or its label says
        that it leaves the agent of that turn, and so has to say itself what it is about."""
        previous = self.previous[index]
        if previous == NO_CONTEXT:
            return True
        return previous != self.labels[index] and self.sources[index] == HUMAN

    def in_context(self, index: int) -> bool:
        return self.previous[index] >= 0

    def is_text(self, index: int) -> bool:
        """Whether an agent says it of itself: it is learned, and no label."""
        return self.sources[index] == AGENT_TEXT

    def labelled_groups(self) -> Counter[int]:
        """By the index of the first variant, how many variants of one question are no agent's
        texts."""
        pairs = zip(self.groups, self.sources, strict=True)
        return Counter([group for group, source in pairs if source != AGENT_TEXT])

    def leaving(self) -> int:
        """How many turns leave the agent of the turn before."""
        turns = filter(self.in_context, range(len(self)))
        return sum([self.labels[at] != self.previous[at] for at in turns])

    def counts(self, source: int | None = None) -> dict[int, int]:
        """By label, how many are learned as single messages: of this source, or of all beside
        agents' texts."""
        alone = filter(self.stands_alone, range(len(self)))
        if source is None:
            return Counter([self.labels[index] for index in alone if not self.is_text(index)])
        return Counter([self.labels[at] for at in alone if self.sources[at] == source])

    def digest(self) -> str:
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        parts = (
            *(self.labels, self.folds, self.offsets, self.buckets, self.groups),
            *(self.previous, self.overlaps, self.sources),
        )
        vectors, data = vectors_to_bytes(self.vectors)
        header = {
            "features": FEATURES_VERSION,
            "classes": self.classes,
            "conflicts": self.conflicts,
            "sizes": [len(part) * part.itemsize for part in parts],
            "vectors": vectors,
        }
        head = json.dumps(header).encode()
        body = [part.tobytes() for part in parts]
        return b"\n".join((head, b"".join([*body, self.keys, data])))

    @classmethod
    def from_bytes(cls, data: bytes, table: VectorTable | None = None) -> "Examples":
        """Raises ValueError if they are of another version, or of another table of word vectors."""
        head, _, body = data.partition(b"\n")
        header = bounded_json.loads(head)
        parts, at = read_arrays(header, _CODES, body)
        end = at + KEY_BYTES * len(parts[0])
        names = ("labels", "folds", "offsets", "buckets", "groups", "previous", "overlaps")
        return cls(
            classes=tuple(header["classes"]),
            conflicts=header["conflicts"],
            **dict(zip((*names, "sources"), parts, strict=True)),
            keys=body[at:end],
            vectors=vectors_from_bytes(header["vectors"], body[end:], table),
        )


def read_arrays(header: dict[str, Any], codes: str, body: bytes) -> tuple[list["array[int]"], int]:
    """The arrays at the beginning of the bytes, and where they end."""
    if header["features"] != FEATURES_VERSION or len(header["sizes"]) != len(codes):
        raise ValueError("the examples are of another version; start a new training")
    parts, at = [], 0
    for code, size in zip(codes, header["sizes"], strict=True):
        parts.append(array(code, body[at : at + size]))
        at += size
    return parts, at
