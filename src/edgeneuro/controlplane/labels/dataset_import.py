"""Files of labels, checked line by line; what is wrong anywhere is listed for all lines, and then
nothing of the file is imported."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, get_args

from edgeneuro.controlplane.jobs.pacing import Pacer
from edgeneuro.controlplane.labels.file_agents import AgentNames
from edgeneuro.controlplane.labels.import_columns import ColumnReader
from edgeneuro.controlplane.labels.import_question import (
    checked_query,
    read_agent,
    read_question,
)
from edgeneuro.controlplane.labels.import_rows import Row, RowFault
from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.conversation import (
    PreviousTurn,
    QuestionHashes,
)
from edgeneuro.domain.dataset import MACHINE
from edgeneuro.domain.fields import read_timestamp
from edgeneuro.domain.label import LabelSource
from edgeneuro.domain.query import Split
from edgeneuro.errors import InvalidLinesError, InvalidRequestError, LineFault
from edgeneuro.store.sql import rfc3339, unix_ms

MAX_ROWS = 100_000
_TOLD_FAULTS = 100
_to_json = json.JSONEncoder(ensure_ascii=False).encode  # one encoder for all lines
_MAX_STATED = 128
_SOURCES = get_args(LabelSource)
_SPLITS = get_args(Split)


class FileLabel(NamedTuple):
    """`place` counts the questions of the file from 1 on; a question is `query` after the turn
    `previous`. `split` and `origin`, a JSON object of
    what the file says of labeler, source and time, are None where it says nothing."""

    place: int
    hashes: QuestionHashes
    query: str
    previous: PreviousTurn
    agent_id: str | None
    split: str | None
    origin: str | None


@dataclass
class LabelFile:
    """What was read: `labels` counts questions, `rows` duplicates and `skipped` lines too. `mapped`
    has the names of agents that are not ids, with the ids that they were taken for."""

    rows: int = 0
    labels: int = 0
    skipped: int = 0
    mapped: dict[str, str] = field(default_factory=dict)


async def read_file(
    rows: AsyncIterator[tuple[int, Row | RowFault]],
    add: Callable[[FileLabel], Awaitable[None]],
    *,
    names: AgentNames,
    columns: ColumnReader | None,
    stored: Callable[[str], str],
    stored_turn: Callable[[PreviousTurn], PreviousTurn],
    metadata: bool,
    pacer: Pacer,
) -> LabelFile:
    """Hands on the label of each question as it is read, up to the first line that is wrong. Only
    the chosen `columns` are read; None: the file has those of an import.
    `stored` gives a text as it may be stored, `stored_turn` the turn before it; with `metadata` the
    part of the data set, labeler, source and time are read too. Raises InvalidLinesError at the end
    where any line is wrong."""
    seen = _Seen()
    file = LabelFile()
    faults: list[LineFault] = []
    wrong = 0
    async for line, found in rows:
        file.rows += 1
        require_few(file.rows)
        try:
            if isinstance(found, RowFault):
                raise found
            if columns is not None:
                found = columns.read(found)
            if names.skip and _is_skipped(found, names):
                file.skipped += 1
                await pacer.spend(0)
                continue
            asked = read_question(found, names.find)
            query, previous = stored(checked_query(asked.query)), stored_turn(asked.previous)
            agent_id = _agent_id(found, names, file.mapped)
            split, origin = _metadata(found, stored) if metadata else (None, None)
            hashes = QuestionHashes.of(query, previous)
            if seen.add(hashes.question, line, agent_id):
                file.labels += 1
                if not wrong:
                    label = FileLabel(file.labels, hashes, query, previous, agent_id, split, origin)
                    await add(label)
            await pacer.spend(len(query) + len(previous.identity))
        except RowFault as fault:
            wrong += 1
            if len(faults) < _TOLD_FAULTS:
                faults.append(LineFault(line, fault.param, fault.message))
            await pacer.spend(0)
    if faults:
        raise InvalidLinesError(
            f"{wrong} of the file's lines are wrong, so nothing was imported. The first is line"
            f" {faults[0].line}: {faults[0].message}.",
            faults,
            count=wrong,
        )
    if not file.rows:
        raise InvalidRequestError("The file has no lines; send some.", code="empty_file")
    return file


def require_few(rows: int) -> None:
    """Raises InvalidRequestError for more lines than one file may have."""
    if rows > MAX_ROWS:
        raise InvalidRequestError(
            f"The file has more than {MAX_ROWS:,} lines; send it in parts.", code="too_many_lines"
        )


class _Seen:
    """The questions of a file, some 100 bytes each: by the hash, the line and the agent."""

    def __init__(self) -> None:
        self._lines: dict[bytes, tuple[int, str | None]] = {}

    def add(self, key: str, line: int, agent_id: str | None) -> bool:
        """False for a question that was there before. Raises RowFault where its agent was another
        one."""
        first, agent = self._lines.setdefault(bytes.fromhex(key), (line, agent_id))
        if agent != agent_id:
            raise RowFault(
                "agent",
                f"agent: line {first} says {agent or NO_AGENT!r} for the same question, this one"
                f" {agent_id or NO_AGENT!r}; keep one of them",
            )
        return first == line


def _metadata(row: Row, stored: Callable[[str], str]) -> tuple[str | None, str | None]:
    """The part of the data set, and the origin as JSON."""
    split = _stated(row, "split", _SPLITS)
    labeler = _stated(row, "labeler", None)
    labeler = labeler and stored(labeler)  # it may be an e-mail address
    if row.get("source") == MACHINE:
        raise RowFault(
            "source",
            "source: this line is a machine label, the decision of a model. Leave such lines out"
            " (an export with source=human has none), or import with metadata=ignore: then they"
            " are your labels",
        )
    source = _stated(row, "source", _SOURCES)
    labelled_at = _stated(row, "labelled_at", None)
    if labelled_at is not None:
        try:
            labelled_at = _time(labelled_at)
        except ValueError as error:
            raise RowFault("labelled_at", f"labelled_at: {error}; {_OR_IGNORE}") from error
    if labeler is source is labelled_at is None:
        return split, None
    return split, _to_json({"labeler": labeler, "source": source, "labelled_at": labelled_at})


def _time(text: str) -> str:
    """The time in the product's format. Raises ValueError."""
    with suppress(ValueError):  # most times are in that format, and this is ten times faster
        moment = datetime.fromisoformat(text)
        own_format = f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
        if text == own_format and moment.year >= 1971:
            return text
    return rfc3339(unix_ms(read_timestamp(text)))


_OR_IGNORE = "or import with metadata=ignore"


def _stated(row: Row, param: str, values: Sequence[str] | None) -> str | None:
    value = row.get(param)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise RowFault(param, f"{param}: this is not a text; remove it, {_OR_IGNORE}")
    if values is not None and value not in values:
        words = f"{param}: it must be one of {', '.join(values)}; correct it, {_OR_IGNORE}"
        raise RowFault(param, words)
    if len(value) > _MAX_STATED or not value.isprintable():
        words = f"{param}: it must have at most {_MAX_STATED} printable characters; {_OR_IGNORE}"
        raise RowFault(param, words)
    return value


def _is_skipped(row: Row, names: AgentNames) -> bool:
    """A line without an agent is not skipped: that it is wrong is found later."""
    with suppress(RowFault):
        _, agent = read_agent(row)
        return isinstance(agent, str) and agent.strip() in names.skip
    return False


def _agent_id(row: Row, names: AgentNames, mapped: dict[str, str]) -> str | None:
    param, agent = read_agent(row)
    if agent is None:
        return None
    if not isinstance(agent, str):
        raise RowFault(param, f"{param}: this is not a text")
    agent = agent.strip()
    found = names.find(agent)
    if found is None:
        words = f"{param}: there is no agent {agent[:100]!r}; GET /v1/agents lists them"
        raise RowFault(param, words)
    if found != agent:
        mapped[agent[:100]] = found
    return None if found == NO_AGENT else found
