"""The machine labels of a training: they are chosen once, after the labels were read, and their
texts are read page by page. What is still to be read is stored between slices, so that a decision
made meanwhile changes nothing."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from edgeneuro import bounded_json
from edgeneuro.controlplane.learning.classifier_check import config_of
from edgeneuro.controlplane.learning.machine_labels import find_machine_labels
from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.background_prompt import is_background_prompt
from edgeneuro.domain.chat_message import Message
from edgeneuro.domain.classifier import Classifier, TrainingProgress
from edgeneuro.domain.conversation import QuestionHashes
from edgeneuro.services import Services
from edgeneuro.store.contexts import context_from_json
from edgeneuro.store.database import Row
from edgeneuro.store.machine_labels import PAGE_TEXTS, read_machine_labels, test_part
from edgeneuro.synapsecore.sampling import sampled

_MORE_AFTER_CHANGES = 1.5  # audit samples than their share


@dataclass(frozen=True)
class Chosen:
    """A machine label that is to be read: of the log row `seq`, for the agent (NO_AGENT: none
    fits), by the model with this id."""

    seq: int
    agent: str
    model: str


class ToRead:
    """Machine labels in the order in which they are read."""

    def __init__(self, chosen: Sequence[Chosen]) -> None:
        self._left = list(reversed(chosen))

    def __len__(self) -> int:
        return len(self._left)

    def page(self) -> list[Chosen]:
        return self._left[: -PAGE_TEXTS - 1 : -1]

    def done(self) -> None:
        """With the first one."""
        self._left.pop()

    def to_bytes(self) -> bytes:
        agents = sorted({each.agent for each in self._left})
        models = sorted({each.model for each in self._left})
        numbers = [
            (each.seq, agents.index(each.agent), models.index(each.model))
            for each in reversed(self._left)
        ]
        return json.dumps({"agents": agents, "models": models, "labels": numbers}).encode()

    @classmethod
    def from_bytes(cls, stored: bytes) -> "ToRead":
        found = bounded_json.loads(stored)
        agents, models = found["agents"], found["models"]
        return cls([Chosen(seq, agents[a], models[m]) for seq, a, m in found["labels"]])


async def choose_machine_labels(
    services: Services, job: Classifier, progress: TrainingProgress, *, room: int
) -> ToRead:
    """At most `room`. Those in conversations are as many as the labels lack. Raises ValueError if
    the router of the training was deleted, DatabaseError."""
    config = await config_of(services, job)
    turns = min(config.follow_up_decisions - progress.in_conversations, room)
    found = await find_machine_labels(
        services, config, agents=job.agents, room=max(0, room), turns=max(0, turns)
    )
    progress.machine_labels_off = found.off
    progress.machine_left_out = dict(found.left_out)
    progress.machine_decided = dict(found.decided)
    return ToRead(
        [
            Chosen(each.seq, each.agent, config.chain[each.model].id)
            for each in (*found.single, *found.turns)
        ]
    )


class MachineTexts:
    """Reads the texts of machine labels."""

    def __init__(self, services: Services) -> None:
        self._db = services.db
        self._tested: frozenset[str] | None = None

    async def read(self, page: Sequence[Chosen]) -> list[tuple[Chosen, Row | None, str | None]]:
        """Each with its row, or why it is left out: the row was deleted since, a question of the
        test part has the same content words, or a chat interface wrote the message."""
        if self._tested is None:
            self._tested = await test_part(self._db)
        seqs = [each.seq for each in page]
        rows = {row["seq"]: row for row in await read_machine_labels(self._db, seqs)}
        found: list[tuple[Chosen, Row | None, str | None]] = []
        for each in page:
            row = rows.get(each.seq)
            why = "deleted" if row is None else _left_out(row, self._tested)
            found.append((each, row if why is None else None, why))
        return found


def is_hard(row: Row, share: float) -> bool:
    """Whether it is a query that a classifier was not sure of. With all of these the held-out
    questions would be harder than the queries are, since of those that it was sure of only the
    audit samples have a machine label; so only as many count as fair. `share` is that of audit
    samples, of which there are more after a change."""
    return bool(row["deferred"]) and not sampled(row["id"], _MORE_AFTER_CHANGES * share)


def _left_out(row: Row, tested: frozenset[str]) -> str | None:
    previous = context_from_json(row["context"])
    if tested and QuestionHashes.of(row["query"], previous).similar in tested:
        return "test_part"
    message = Message(role="user", content=row["query"])
    return "background_prompt" if is_background_prompt([message]) else None


def count_machine_label(progress: TrainingProgress, chosen: Chosen, row: Row) -> None:
    models = progress.machine_models
    models[chosen.model] = models.get(chosen.model, 0) + 1
    if row["context"] is not None:
        progress.decisions += 1
        return
    labels = progress.machine_labels
    labels[chosen.agent] = labels.get(chosen.agent, 0) + 1


def leave_out(progress: TrainingProgress, why: str, count: int = 1) -> None:
    progress.machine_left_out[why] = progress.machine_left_out.get(why, 0) + count


def agent_of(chosen: Chosen) -> str | None:
    return None if chosen.agent == NO_AGENT else chosen.agent
