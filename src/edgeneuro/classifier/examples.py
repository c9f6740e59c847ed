"""The training examples: labels that are prepared once, in an order that is always the same, and
packed so that they can be stored between the slices of a training.

The product has one label in force for each question. A file may hold a question several times: then
the majority counts. Without a majority all its labels are dropped, since lines have no order.
"""

import hashlib
import json
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edgeneuro import bounded_json
from edgeneuro.classifier.features import FEATURES_VERSION, features
from edgeneuro.classifier.groups import held_out_together, variants
from edgeneuro.domain.query import query_hash, similar_hash

FOLDS = 5
OUT_OF_SCOPE = -1  # the label says that no agent fits
_CONFLICT = ""  # no agent's id
_KEY_BYTES = 16


@dataclass(frozen=True)
class Labelled:
    """A question and its right agent; None: no agent fits. `hard`: it was chosen because a stage
    was unsure of it, so it does not represent the traffic."""

    query: str
    agent_id: str | None
    hard: bool = False


@dataclass(frozen=True)
class Examples:
    """`labels` are indices of `classes` (the agents' ids, sorted) or OUT_OF_SCOPE. `groups` has the
    index of the first variant of each question (groups.py). Similar questions and variants are in
    the same one of the `folds`; folds of hard questions are negative, with the same remainder by
    FOLDS. `keys` are the query hashes, 16 bytes each."""

    classes: tuple[str, ...]
    conflicts: int
    labels: "array[int]"
    folds: "array[int]"
    offsets: "array[int]"
    buckets: "array[int]"
    groups: "array[int]"
    keys: bytes

    def __len__(self) -> int:
        return len(self.labels)

    def active(self, index: int) -> "array[int]":
        return self.buckets[self.offsets[index] : self.offsets[index + 1]]

    def query_hash(self, index: int) -> str:
        return self.keys[index * _KEY_BYTES : (index + 1) * _KEY_BYTES].hex()

    def counts(self) -> dict[int, int]:
        return Counter(self.labels)

    def digest(self) -> str:
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        parts = (self.labels, self.folds, self.offsets, self.buckets, self.groups)
        header = {
            "features": FEATURES_VERSION,
            "classes": self.classes,
            "conflicts": self.conflicts,
            "sizes": [len(part) * part.itemsize for part in parts],
        }
        head = json.dumps(header).encode()
        return b"\n".join((head, b"".join([*(part.tobytes() for part in parts), self.keys])))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Examples":
        head, _, body = data.partition(b"\n")
        header = bounded_json.loads(head)
        _require_features(header)
        parts, at = [], 0
        for code, size in zip("hbIHI", header["sizes"], strict=True):
            parts.append(array(code, body[at : at + size]))
            at += size
        labels, folds, offsets, buckets, groups = parts
        classes = tuple(header["classes"])
        conflicts = header["conflicts"]
        return cls(classes, conflicts, labels, folds, offsets, buckets, groups, keys=body[at:])


class Preparation:
    """Collects labels, one after another and in any order, and makes examples of them. Between two
    slices it can be stored as bytes, which are a tenth of the texts."""

    def __init__(self) -> None:
        self._keys: list[bytes] = []  # of the question that each label is for
        self._agents: list[str | None] = []
        self._similar, self._hard = array("I"), array("b")
        self._offsets, self._buckets = array("I", [0]), array("H")

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, labelled: Labelled) -> None:
        text = labelled.query
        self._keys.append(bytes.fromhex(query_hash(text)))
        self._agents.append(labelled.agent_id)
        self._similar.append(int(similar_hash(text)[:8], 16))
        self._hard.append(labelled.hard)
        self._buckets.extend(features(text))
        self._offsets.append(len(self._buckets))

    def extend(self, other: "Preparation") -> None:
        start = len(self._buckets)
        self._keys += other._keys
        self._agents += other._agents
        self._similar.extend(other._similar)
        self._hard.extend(other._hard)
        self._buckets.extend(other._buckets)
        self._offsets.extend(start + offset for offset in other._offsets[1:])

    def examples(self) -> Examples:
        """Each question once, sorted by its hash: the order of the labels does not matter."""
        chosen, conflicts = self._settle()
        classes = tuple(sorted({agent for _, agent in chosen if agent is not None}))
        place: dict[str | None, int] = {agent: number for number, agent in enumerate(classes)}
        place[None] = OUT_OF_SCOPE
        labels = array("h", [place[agent] for _, agent in chosen])
        similar = array("I", [self._similar[index] for index, _ in chosen])
        offsets, buckets = self._packed([index for index, _ in chosen])
        groups = variants(labels, lambda at: buckets[offsets[at] : offsets[at + 1]], buckets)
        together = held_out_together(groups, labels, similar)
        hard = [self._hard[index] for index, _ in chosen]
        folds = array("b", [similar[first] % 100 * FOLDS // 100 for first in together])
        for at, is_hard in enumerate(hard):
            folds[at] -= FOLDS * is_hard
        keys = b"".join([self._keys[index] for index, _ in chosen])
        return Examples(classes, conflicts, labels, folds, offsets, buckets, groups, keys)

    def _packed(self, indices: Sequence[int]) -> tuple["array[int]", "array[int]"]:
        """The offsets and buckets of these labels. They are most of the memory, so they are copied
        only if the order changes."""
        if len(indices) == len(self) and all(index == at for at, index in enumerate(indices)):
            return self._offsets, self._buckets
        offsets, buckets = array("I", [0]), array("H")
        for index in indices:
            buckets.extend(self._active(index))
            offsets.append(len(buckets))
        return offsets, buckets

    def _settle(self) -> tuple[list[tuple[int, str | None]], int]:
        """The index of one label and the agent of each question, sorted by its hash, and the number
        of questions that are dropped because no agent has the majority."""
        of_question: defaultdict[bytes, list[int]] = defaultdict(list)
        for index, key in enumerate(self._keys):
            of_question[key].append(index)
        chosen: list[tuple[int, str | None]] = []
        for key in sorted(of_question):
            indices = of_question[key]
            agent = _majority(Counter(self._agents[index] for index in indices))
            if agent != _CONFLICT:
                # Spellings of one question differ in their buckets only if they are very long.
                chosen.append((min(indices, key=lambda at: self._active(at).tobytes()), agent))
        return chosen, len(of_question) - len(chosen)

    def _active(self, index: int) -> "array[int]":
        return self._buckets[self._offsets[index] : self._offsets[index + 1]]

    def to_bytes(self) -> bytes:
        names = list(dict.fromkeys(self._agents))
        place = {agent: number for number, agent in enumerate(names)}
        agents = array("H", [place[agent] for agent in self._agents])
        parts = (agents, self._similar, self._hard, self._offsets, self._buckets)
        header = {
            "features": FEATURES_VERSION,
            "agents": names,
            "sizes": [len(part) * part.itemsize for part in parts],
        }
        head = json.dumps(header).encode()
        body = b"".join([*(part.tobytes() for part in parts), *self._keys])
        return b"\n".join((head, body))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Preparation":
        """Raises ValueError if the bytes are damaged or of another version."""
        head, _, body = data.partition(b"\n")
        header = bounded_json.loads(head)
        _require_features(header)
        made = cls()
        parts, at = [], 0
        for code, size in zip("HIbIH", header["sizes"], strict=True):
            parts.append(array(code, body[at : at + size]))
            at += size
        agents, made._similar, made._hard, made._offsets, made._buckets = parts
        made._agents = [header["agents"][number] for number in agents]
        made._keys = [
            body[start : start + _KEY_BYTES] for start in range(at, len(body), _KEY_BYTES)
        ]
        if not len(made._keys) == len(made._agents) == len(made._similar) == len(made._offsets) - 1:
            raise ValueError("the prepared labels are damaged; train again")
        return made


def prepare(labels: Iterable[Labelled]) -> Examples:
    """The examples of the labels, which may come in any order."""
    preparation = Preparation()
    for labelled in labels:
        preparation.add(labelled)
    return preparation.examples()


def _require_features(header: dict[str, Any]) -> None:
    if header["features"] != FEATURES_VERSION:
        raise ValueError("the examples are of another version of the features; prepare them again")


def _majority(votes: Counter[str | None]) -> str | None:
    (agent, most), *others = votes.most_common(2)
    return _CONFLICT if others and others[0][1] == most else agent
