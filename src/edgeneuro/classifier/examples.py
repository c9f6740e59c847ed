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
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edgeneuro import bounded_json
from edgeneuro.classifier.features import FEATURES_VERSION, features
from edgeneuro.classifier.groups import (
    held_out_together,
    in_one_conversation,
    session_key,
    text_key,
    variants,
)
from edgeneuro.classifier.sources import AGENT_TEXT, HUMAN
from edgeneuro.classifier.switch import overlap
from edgeneuro.domain.conversation import NOTHING_BEFORE, PreviousTurn, QuestionHashes

FOLDS = 5
OUT_OF_SCOPE = -1  # the label says that no agent fits
# Instead of the class of the agent of the turn before: there is no such turn, or no label names the
# agent.
NO_CONTEXT, UNKNOWN_AGENT = -1, -2
_CONFLICT = ""  # no agent's id
_KEY_BYTES = 16
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
    `keys` are the query hashes, 16 bytes each."""

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

    def __len__(self) -> int:
        return len(self.labels)

    def active(self, index: int) -> "array[int]":
        return self.buckets[self.offsets[index] : self.offsets[index + 1]]

    def query_hash(self, index: int) -> str:
        return self.keys[index * _KEY_BYTES : (index + 1) * _KEY_BYTES].hex()

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
        parts, at = _parts(header, _CODES, body)
        names = ("labels", "folds", "offsets", "buckets", "groups", "previous", "overlaps")
        return cls(
            classes=tuple(header["classes"]),
            conflicts=header["conflicts"],
            **dict(zip((*names, "sources"), parts, strict=True)),
            keys=body[at:],
        )


# What a preparation keeps of each label beside its agents and its features, as arrays of these
# types. `said`, `before` and `sessions` are hashes of the text, of what the user said before it,
# and of the session (groups.py).
_KEPT = {
    **{"similar": "I", "hard": "b", "sources": "b", "overlaps": "B"},
    **{"said": "I", "before": "I", "sessions": "I"},
}
_NO_TURN = ""  # no agent's id: there is no turn before


class Preparation:
    """Collects labels, one after another and in any order, and makes examples of them. Between two
    slices it can be stored as bytes, which are a tenth of the texts."""

    def __init__(self) -> None:
        self._keys: list[bytes] = []  # of the question that each label is for
        self._agents: list[str | None] = []
        self._previous: list[str | None] = []  # the agents of the turns before
        self._kept = {name: array(code) for name, code in _KEPT.items()}
        self._offsets, self._buckets = array("I", [0]), array("H")

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, labelled: Labelled) -> None:
        text, previous, session = labelled.query, labelled.previous, labelled.session
        active, hashes = features(text), QuestionHashes.of(text, previous)
        self._keys.append(bytes.fromhex(hashes.question))
        self._agents.append(labelled.agent_id)
        self._previous.append(previous.agent if previous else _NO_TURN)
        values = {
            "similar": int(hashes.similar[:8], 16),
            "hard": int(labelled.hard),
            "sources": labelled.source,
            "overlaps": overlap(text, previous.assistant),
            "said": text_key(text),
            "before": text_key(previous.user),
            "sessions": session_key(session),
        }
        for name, value in values.items():
            self._kept[name].append(value)
        self._buckets.extend(active)
        self._offsets.append(len(self._buckets))

    def extend(self, other: "Preparation") -> None:
        start = len(self._buckets)
        self._keys += other._keys
        self._agents += other._agents
        self._previous += other._previous
        for name, column in self._kept.items():
            column.extend(other._kept[name])
        self._buckets.extend(other._buckets)
        self._offsets.extend(start + offset for offset in other._offsets[1:])

    def examples(self) -> Examples:
        """Each question once, sorted by its hash: the order of the labels does not matter."""
        chosen, conflicts = self._settle()
        indices = [index for index, _ in chosen]
        classes = tuple(sorted({agent for _, agent in chosen if agent is not None}))
        place: dict[str | None, int] = {agent: number for number, agent in enumerate(classes)}
        labels = array("h", [place.get(agent, OUT_OF_SCOPE) for _, agent in chosen])
        place[_NO_TURN] = NO_CONTEXT
        before = [place.get(self._previous[index], UNKNOWN_AGENT) for index in indices]
        previous = array("h", before)
        kept = {
            name: array(code, [self._kept[name][index] for index in indices])
            for name, code in _KEPT.items()
        }
        offsets, buckets = self._packed(indices)

        def single(at: int) -> Sequence[int]:
            """A "yes" in one conversation is no variant of the "yes" in another."""
            return buckets[offsets[at] : offsets[at + 1]] if previous[at] == NO_CONTEXT else ()

        groups = variants(labels, single, buckets)
        together = in_one_conversation(
            held_out_together(groups, labels, kept["similar"]),
            kept["said"],
            kept["before"],
            kept["sessions"],
        )
        folds = array("b", [kept["similar"][first] % 100 * FOLDS // 100 for first in together])
        for at, is_hard in enumerate(kept["hard"]):
            folds[at] -= FOLDS * (is_hard or previous[at] != NO_CONTEXT)
        return Examples(
            classes=classes,
            conflicts=conflicts,
            labels=labels,
            folds=folds,
            offsets=offsets,
            buckets=buckets,
            groups=groups,
            previous=previous,
            overlaps=kept["overlaps"],
            sources=kept["sources"],
            keys=b"".join([self._keys[index] for index in indices]),
        )

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
        of questions that are dropped because no agent has the majority. Texts that two agents have
        in common are dropped too, and not counted."""
        of_question: defaultdict[bytes, list[int]] = defaultdict(list)
        for index, key in enumerate(self._keys):
            of_question[key].append(index)
        chosen: list[tuple[int, str | None]] = []
        conflicts = 0
        for key in sorted(of_question):
            indices = of_question[key]
            best = min(self._kept["sources"][index] for index in indices)
            indices = [index for index in indices if self._kept["sources"][index] == best]
            agent = _majority(Counter(self._agents[index] for index in indices))
            if agent != _CONFLICT:
                # Spellings of one question differ in their buckets only if they are very long.
                chosen.append((min(indices, key=lambda at: self._active(at).tobytes()), agent))
            elif best != AGENT_TEXT:
                conflicts += 1
        return chosen, conflicts

    def _active(self, index: int) -> "array[int]":
        return self._buckets[self._offsets[index] : self._offsets[index + 1]]

    def to_bytes(self) -> bytes:
        names = list(dict.fromkeys([*self._agents, *self._previous]))
        place = {agent: number for number, agent in enumerate(names)}
        agents = array("H", [place[agent] for agent in self._agents])
        previous = array("H", [place[agent] for agent in self._previous])
        parts = (agents, previous, *self._kept.values(), self._offsets, self._buckets)
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
        parts, at = _parts(header, f"HH{''.join(_KEPT.values())}IH", body)
        made = cls()
        agents, previous, *kept, made._offsets, made._buckets = parts
        made._agents = [header["agents"][number] for number in agents]
        made._previous = [header["agents"][number] for number in previous]
        made._kept = dict(zip(_KEPT, kept, strict=True))
        made._keys = [
            body[start : start + _KEY_BYTES] for start in range(at, len(body), _KEY_BYTES)
        ]
        sizes = {len(column) for column in (agents, previous, *kept)}
        if {*sizes, len(made._keys)} != {len(made._offsets) - 1}:
            raise ValueError("the prepared labels are damaged; train again")
        return made


def prepare(labels: Iterable[Labelled]) -> Examples:
    """The examples of the labels, which may come in any order."""
    preparation = Preparation()
    for labelled in labels:
        preparation.add(labelled)
    return preparation.examples()


def _parts(header: dict[str, Any], codes: str, body: bytes) -> tuple[list["array[int]"], int]:
    """The arrays at the beginning of the bytes, and where they end."""
    if header["features"] != FEATURES_VERSION or len(header["sizes"]) != len(codes):
        raise ValueError("the examples are of another version; start a new training")
    parts, at = [], 0
    for code, size in zip(codes, header["sizes"], strict=True):
        parts.append(array(code, body[at : at + size]))
        at += size
    return parts, at


def _majority(votes: Counter[str | None]) -> str | None:
    (agent, most), *others = votes.most_common(2)
    return _CONFLICT if others and others[0][1] == most else agent
