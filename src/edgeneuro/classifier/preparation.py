"""Prepares training examples: takes labels one after another, in parts that can be stored, decides
which label of a question counts, and puts like questions into one fold."""

import json
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from edgeneuro import bounded_json
from edgeneuro.classifier.dense import CHANGED, NO_VECTORS, DenseVectors, WordVectors
from edgeneuro.classifier.examples import (
    FOLDS,
    KEY_BYTES,
    NO_CONTEXT,
    OUT_OF_SCOPE,
    UNKNOWN_AGENT,
    Examples,
    Labelled,
    read_arrays,
)
from edgeneuro.classifier.features import FEATURES_VERSION, buckets, plain
from edgeneuro.classifier.groups import (
    held_out_together,
    in_one_conversation,
    session_key,
    text_key,
    variants,
)
from edgeneuro.classifier.sources import AGENT_TEXT
from edgeneuro.classifier.switch import overlap
from edgeneuro.classifier.vectors import VectorTable
from edgeneuro.domain.conversation import QuestionHashes

# What a preparation keeps of each label beside its agents and its features, as arrays of these
# types. `said`, `before` and `sessions` are hashes of the text, of what the user said before it,
# and of the session (groups.py).
_KEPT = {
    **{"similar": "I", "hard": "b", "sources": "b", "overlaps": "B"},
    **{"said": "I", "before": "I", "sessions": "I"},
}
_CONFLICT = ""  # no agent's id
_NO_TURN = ""  # no agent's id: there is no turn before


class Preparation:
    """Collects labels, one after another and in any order, and makes examples of them. Between two
    slices it can be stored as bytes. With a `table` the examples have word vectors."""

    def __init__(self, table: VectorTable | None = None) -> None:
        self._table = table
        self._source = "" if table is None else table.id
        # Of word vectors, if there is a table.
        self._pieces, self._ends = array("H"), array("I")
        self._keys: list[bytes] = []  # of the question that each label is for
        self._agents: list[str | None] = []
        self._previous: list[str | None] = []  # the agents of the turns before
        self._kept = {name: array(code) for name, code in _KEPT.items()}
        self._offsets, self._buckets = array("I", [0]), array("H")

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, labelled: Labelled) -> None:
        text, previous, session = labelled.query, labelled.previous, labelled.session
        plain_text, hashes = plain(text), QuestionHashes.of(text, previous)
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
        self._buckets.extend(buckets(plain_text))
        self._offsets.append(len(self._buckets))
        if self._table is not None:
            self._pieces.extend(self._table.pieces(plain_text))
            self._ends.append(len(self._pieces))

    def extend(self, other: "Preparation") -> None:
        """Raises ValueError if one of them has word vectors and the other has none, or others."""
        if self._source != other._source and len(self):
            raise ValueError(CHANGED)
        self._source = other._source
        first = len(self._pieces)
        self._pieces.extend(other._pieces)
        self._ends.extend([first + end for end in other._ends])
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
        folds = _folds(labels, together, kept["similar"], kept["sources"])
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
            vectors=self._dense(indices),
        )

    def _dense(self, indices: Sequence[int]) -> DenseVectors | WordVectors:
        """Raises ValueError if the labels before were prepared with another table."""
        if not self._source:
            return NO_VECTORS
        if self._table is None or self._table.id != self._source:
            raise ValueError(CHANGED)
        pieces, ends = array("H"), array("I")
        for index in indices:
            pieces.extend(self._pieces_of(index))
            ends.append(len(pieces))
        return WordVectors(self._table, pieces, ends)

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
                chosen.append((min(indices, key=self._spelling), agent))
            elif best != AGENT_TEXT:
                conflicts += 1
        return chosen, conflicts

    def _active(self, index: int) -> "array[int]":
        return self._buckets[self._offsets[index] : self._offsets[index + 1]]

    def _pieces_of(self, index: int) -> "array[int]":
        if not self._source:
            return array("H")
        return self._pieces[self._ends[index - 1] if index else 0 : self._ends[index]]

    def _spelling(self, index: int) -> tuple[bytes, bytes]:
        """Spellings of one question differ in their buckets only if they are very long."""
        return self._active(index).tobytes(), self._pieces_of(index).tobytes()

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
            "vectors": [self._source, len(self._ends), len(self._pieces)],
        }
        head = json.dumps(header).encode()
        body = b"".join(
            [
                *(part.tobytes() for part in parts),
                *self._keys,
                self._ends.tobytes(),
                self._pieces.tobytes(),
            ]
        )
        return b"\n".join((head, body))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Preparation":
        """Raises ValueError if the bytes are damaged or of another version."""
        head, _, body = data.partition(b"\n")
        header = bounded_json.loads(head)
        parts, at = read_arrays(header, f"HH{''.join(_KEPT.values())}IH", body)
        made = cls()
        agents, previous, *kept, made._offsets, made._buckets = parts
        made._agents = [header["agents"][number] for number in agents]
        made._previous = [header["agents"][number] for number in previous]
        made._kept = dict(zip(_KEPT, kept, strict=True))
        count = len(agents)
        end = at + KEY_BYTES * count
        made._keys = [body[start : start + KEY_BYTES] for start in range(at, end, KEY_BYTES)]
        made._source, ends, pieces = header["vectors"]
        middle = end + made._ends.itemsize * ends
        made._ends, made._pieces = array("I", body[end:middle]), array("H", body[middle:])
        sizes = {len(column) for column in (agents, previous, *kept)}
        size = middle + made._pieces.itemsize * pieces
        whole = ends == (count if made._source else 0) and len(body) == size
        if {*sizes, len(made._offsets) - 1} != {count} or not whole:
            raise ValueError("the prepared labels are damaged; train again")
        return made


def _folds(
    labels: Sequence[int], together: Sequence[int], similar: Sequence[int], sources: Sequence[int]
) -> "array[int]":
    """The fold of each example. Each fold has as many labels of each agent as can be: if it left
    out more of one, this agent would be short of examples, and its questions harder than they are.
    `together` has the index of the first one of those that stay in one fold."""
    sizes = dict.fromkeys(together, 0)
    for first, source in zip(together, sources, strict=True):
        sizes[first] += source != AGENT_TEXT
    taken: defaultdict[int, list[int]] = defaultdict(lambda: [0] * FOLDS)
    chosen: dict[int, int] = {}
    for first in sorted(sizes, key=lambda first: (similar[first], first)):
        label = labels[first]
        own = taken[label]
        # Agents with fewer labels than folds begin with different ones.
        _, _, fold = min((own[fold], (fold - label) % FOLDS, fold) for fold in range(FOLDS))
        own[fold] += sizes[first]
        chosen[first] = fold
    return array("b", [chosen[first] for first in together])


def prepare(labels: Iterable[Labelled], table: VectorTable | None = None) -> Examples:
    """The examples of the labels, which may come in any order."""
    preparation = Preparation(table)
    for labelled in labels:
        preparation.add(labelled)
    return preparation.examples()


def _majority(votes: Counter[str | None]) -> str | None:
    (agent, most), *others = votes.most_common(2)
    return _CONFLICT if others and others[0][1] == most else agent
