"""Files of labels, checked line by line; what is wrong anywhere is listed for all lines, and then
nothing of the file is imported."""

import json
import re
import unicodedata
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, get_args

from edgeneuro import bounded_json
from edgeneuro.controlplane.jobs.pacing import Pacer
from edgeneuro.controlplane.labels.import_rows import Row, RowFault
from edgeneuro.domain.agent import NO_AGENT, Agent
from edgeneuro.domain.conversation import PreviousTurn
from edgeneuro.domain.fields import MAX_QUERY_CHARACTERS, read_timestamp
from edgeneuro.domain.label import LabelSource
from edgeneuro.domain.prompt import message_text
from edgeneuro.domain.query import Split, canonical, query_hash
from edgeneuro.errors import InvalidLinesError, InvalidRequestError, LineFault
from edgeneuro.store.sql import rfc3339, unix_ms

MAX_ROWS = 100_000
_TOLD_FAULTS = 100
_to_json = json.JSONEncoder(ensure_ascii=False).encode  # one encoder for all lines
_MAX_STATED = 128
_LAST_MESSAGES = ("user", "assistant")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SOURCES = get_args(LabelSource)
_SPLITS = get_args(Split)


class FileLabel(NamedTuple):
    """`place` counts the questions of the file from 1 on. `split` and `origin`, a JSON object of
    what the file says of labeler, source and time, are None where it says nothing."""

    place: int
    query_hash: str
    query: str
    agent_id: str | None
    split: str | None
    origin: str | None


@dataclass
class LabelFile:
    """What was read: `labels` counts questions, `rows` duplicates too. `mapped` has the names of
    agents that are not ids, with the ids that they were taken for."""

    rows: int = 0
    labels: int = 0
    mapped: dict[str, str] = field(default_factory=dict)


class AgentNames:
    """Finds agents by what files call them: the id, else the one agent whose id or name is the same
    but for case, accents and punctuation."""

    def __init__(self, agents: Sequence[Agent]) -> None:
        self._ids = {agent.id for agent in agents}
        self._by_slug: dict[str, set[str]] = {}
        for agent in agents:
            for name in (agent.id, agent.name):
                self._by_slug.setdefault(_slug(name), set()).add(agent.id)

    def find(self, name: str) -> str | None:
        if name in self._ids:
            return name
        slug = _slug(name)
        found = self._by_slug.get(slug, set()) if slug else set()
        return next(iter(found)) if len(found) == 1 else None


def _slug(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


async def read_file(
    rows: AsyncIterator[tuple[int, Row | RowFault]],
    add: Callable[[FileLabel], Awaitable[None]],
    *,
    agents: Sequence[Agent],
    stored: Callable[[str], str],
    metadata: bool,
    pacer: Pacer,
) -> LabelFile:
    """Hands on the label of each question as it is read, up to the first line that is wrong.
    `stored` gives a query as it may be stored; with `metadata` the part of the data set, labeler,
    source and time are read too. Raises InvalidLinesError at the end where any line is wrong."""
    names = AgentNames(agents)
    seen = _Seen()
    file = LabelFile()
    faults: list[LineFault] = []
    wrong = 0
    async for line, found in rows:
        file.rows += 1
        if file.rows > MAX_ROWS:
            raise InvalidRequestError(
                f"The file has more than {MAX_ROWS:,} lines; send it in parts.",
                code="too_many_lines",
            )
        try:
            if isinstance(found, RowFault):
                raise found
            query = stored(_query(found))
            agent_id = _agent_id(found, names, file.mapped)
            split, origin = _metadata(found, stored) if metadata else (None, None)
            key = query_hash(query)
            if seen.add(key, line, agent_id):
                file.labels += 1
                if not wrong:
                    await add(FileLabel(file.labels, key, query, agent_id, split, origin))
            await pacer.spend(len(query))
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


def _query(row: Row) -> str:
    query = _last_messages(row)[0] if _is_conversation(row) else row.get("query")
    if query is None:
        raise RowFault("query", "query: this field is missing; add it")
    if not isinstance(query, str):
        raise RowFault("query", "query: this is not a text")
    if len(query) <= 2 * MAX_QUERY_CHARACTERS:  # its canonical text may be shorter
        query = canonical(query)
    if not 1 <= len(query) <= MAX_QUERY_CHARACTERS:
        raise RowFault("query", f"query: it must have 1 to {MAX_QUERY_CHARACTERS:,} characters")
    if "\0" in query:
        raise RowFault("query", "query: it must not hold the character U+0000; remove it")
    if _SURROGATE.search(query):
        raise RowFault("query", "query: it holds half a surrogate pair; remove it")
    return query


def _agent_id(row: Row, names: AgentNames, mapped: dict[str, str]) -> str | None:
    param, agent = _agent(row)
    if agent is None:
        return None
    if not isinstance(agent, str):
        raise RowFault(param, f"{param}: this is not a text")
    agent = agent.strip()
    if agent == NO_AGENT:
        return None
    found = names.find(agent)
    if found is None:
        words = f"{param}: there is no agent {agent[:100]!r}; GET /v1/agents lists them"
        raise RowFault(param, words)
    if found != agent:
        mapped[agent[:100]] = found
    return found


def _agent(row: Row) -> tuple[str, Any]:
    """Which field names the agent, and what it says."""
    if _is_conversation(row):
        return "messages", _answer(_last_messages(row)[1])
    given = {name: row[name] for name in ("agent", "agent_id") if name in row}
    if not given:
        raise RowFault("agent", 'agent: this field is missing; add it, "none" if no agent fits')
    if len({NO_AGENT if each is None else str(each).strip() for each in given.values()}) > 1:
        raise RowFault("agent_id", "agent_id: it differs from `agent`; keep one of the two")
    return next(iter(given.items()))


def _is_conversation(row: Row) -> bool:
    """A line of an export in the shapes for trainers. A flat row may have such fields too."""
    return "query" not in row and ("messages" in row or "completion" in row)


def _last_messages(row: Row) -> list[Any]:
    """What the user and the assistant say in a line of an export."""
    messages = row.get("messages")
    if messages is None:
        prompt, completion = row.get("prompt"), row["completion"]
        if isinstance(prompt, list) and isinstance(completion, list):
            messages = [*prompt, *completion]
    if isinstance(messages, list) and all(isinstance(message, dict) for message in messages):
        last = messages[-2:]
        if tuple(message.get("role") for message in last) == _LAST_MESSAGES:
            return [message.get("content") for message in last]
    raise RowFault("messages", "messages: the last two must be the user's and the assistant's")


def read_message_text(text: str) -> tuple[str, PreviousTurn] | None:
    """What `message_text` made this text of; None if it was a message alone."""
    try:
        found = bounded_json.loads(text) if text.startswith("{") else None
    except bounded_json.InvalidJsonError:
        return None
    match found:
        case {"previous_turn": dict() as turn, "message": str() as query}:
            previous = PreviousTurn(turn.get("agent"), turn.get("user"), turn.get("assistant"))
            if all(value is None or isinstance(value, str) for value in turn.values()):
                return (query, previous) if message_text(query, previous) == text else None
    return None


def _answer(content: Any) -> Any:
    try:
        answer = bounded_json.loads(content) if isinstance(content, str) else None
    except bounded_json.InvalidJsonError:
        answer = None
    if not isinstance(answer, dict) or "agent" not in answer:
        raise RowFault("messages", 'messages: the last one must be JSON, {"agent": …}')
    return answer["agent"]
