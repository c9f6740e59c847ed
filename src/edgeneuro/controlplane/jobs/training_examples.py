"""What a training learns from, read page by page: the labels, then the machine labels, then what
the agents say of themselves."""

from collections.abc import Awaitable, Callable

from edgeneuro.classifier.agent_texts import agent_texts
from edgeneuro.classifier.examples import (
    Labelled,
)
from edgeneuro.classifier.preparation import Preparation
from edgeneuro.classifier.sources import AGENT_TEXT, HUMAN, MODEL
from edgeneuro.controlplane.jobs.machine_examples import (
    MachineTexts,
    ToRead,
    agent_of,
    choose_machine_labels,
    count_machine_label,
    is_hard,
    leave_out,
)
from edgeneuro.domain.classifier import Classifier, TrainingProgress
from edgeneuro.domain.label import label_line
from edgeneuro.services import Services
from edgeneuro.store.contexts import context_from_json
from edgeneuro.store.database import Row
from edgeneuro.store.datasets import training_labels

MAX_LABELS, _MAX_CHARACTERS = 50_000, 10_000_000  # that fit an isolate's memory
# Of preparing a label, in the unit of a slice's cost: 50,000 short ones are 30 million.
_LABEL_COST, _CHARACTER_COST = 120, 12


class ExampleReader:
    """Goes on where `progress` is, and brings it up to date. `lines` are those of the labels that
    it has read (domain/label.py), and `machine_labels` those that are still to be read; None: they
    were not chosen yet."""

    def __init__(
        self,
        services: Services,
        job: Classifier,
        progress: TrainingProgress,
        max_labels: int,
        machine_labels: ToRead | None = None,
    ) -> None:
        self.lines: list[str] = []
        self.machine_labels = machine_labels
        self._services = services
        self._job = job
        self._progress = progress
        self._max_labels = max_labels

    async def read(self, part: Preparation, spend: Callable[[int], Awaitable[bool]]) -> bool:
        """Adds labels, then machine labels, then agents' texts, until all are added or the slice
        ends; returns whether all are. `spend` gets the cost of each, and says whether the slice
        goes on."""
        return (
            await self._read_labels(part, spend)
            and await self._read_machine(part, spend)
            and await self._read_agents(part, spend)
        )

    @property
    def _room(self) -> int:
        progress = self._progress
        if progress.prepared_characters >= _MAX_CHARACTERS:
            return 0
        machine_labels = sum(progress.machine_labels.values()) + progress.decisions
        return self._max_labels - progress.prepared - machine_labels - progress.agent_texts

    async def _read_labels(
        self, part: Preparation, spend: Callable[[int], Awaitable[bool]]
    ) -> bool:
        """By query hash. If there are too many, those that are left out are any."""
        progress = self._progress
        for why in ("agent_not_enabled", "agent_before_unknown"):
            progress.left_out.setdefault(why, 0)
        while self._room > 0:
            page = await training_labels(self._services.db, progress.prepared_to, most=self._room)
            if not page:
                break
            for row in page:
                progress.prepared_to = row["query_hash"]
                if (left_out := self._left_out(row)) is not None:
                    progress.left_out[left_out] += 1
                    continue
                self.lines.append(label_line(row["query_hash"], row["agent_id"]))
                progress.prepared += 1
                progress.in_conversations += row["context"] is not None
                if not await spend(self._add(part, row, row["agent_id"], hard=bool(row["hard"]))):
                    return False
        return True

    async def _read_machine(
        self, part: Preparation, spend: Callable[[int], Awaitable[bool]]
    ) -> bool:
        progress = self._progress
        if self.machine_labels is None:
            self.machine_labels = await choose_machine_labels(
                self._services, self._job, progress, room=self._room
            )
        to_read, texts = self.machine_labels, MachineTexts(self._services)
        share = (await self._services.routing.current()).audit_sample_share
        while to_read and self._room > 0:
            for chosen, row, why in await texts.read(to_read.page()):
                if self._room <= 0:
                    break
                to_read.done()
                if row is None:
                    leave_out(progress, why or "deleted")
                    continue
                count_machine_label(progress, chosen, row)
                hard = is_hard(row, share)
                cost = self._add(part, row, agent_of(chosen), hard=hard, source=MODEL)
                if not await spend(cost):
                    return False
        if to_read:
            leave_out(progress, "over_the_limit", len(to_read))
            self.machine_labels = ToRead([])
        return True

    async def _read_agents(
        self, part: Preparation, spend: Callable[[int], Awaitable[bool]]
    ) -> bool:
        """The texts of one agent after another, by id, as they are now."""
        progress = self._progress
        config = await self._services.routing.current()
        for agent_id in sorted(self._job.agents):
            agent = config.agents.get(agent_id)
            if agent is None or agent_id <= progress.agent_texts_to or self._room <= 0:
                continue
            progress.agent_texts_to = agent_id
            texts = agent_texts(agent)[: self._room]
            for text in texts:
                part.add(Labelled(text, agent_id, source=AGENT_TEXT))
            progress.agent_texts += len(texts)
            characters = sum(map(len, texts))
            progress.prepared_characters += characters
            if not await spend(len(texts) * _LABEL_COST + characters * _CHARACTER_COST):
                return False
        return True

    def _left_out(self, row: Row) -> str | None:
        """Why it is not learned from: that of a deleted agent, or what follows an unknown one."""
        agents, previous = self._job.agents, context_from_json(row["context"])
        if row["agent_id"] is not None and row["agent_id"] not in agents:
            return "agent_not_enabled"
        return "agent_before_unknown" if previous and previous.agent not in agents else None

    def _add(
        self,
        part: Preparation,
        row: Row,
        agent_id: str | None,
        *,
        hard: bool = False,
        source: int = HUMAN,
    ) -> int:
        """Returns what it cost."""
        query, previous = row["query"], context_from_json(row["context"])
        part.add(
            Labelled(
                query,
                agent_id,
                hard,
                previous=previous,
                session=row["session"],
                source=source,
            )
        )
        texts = (query, previous.user or "", previous.assistant or "")
        characters = sum(map(len, texts))
        self._progress.prepared_characters += characters
        return _LABEL_COST + _CHARACTER_COST * characters
