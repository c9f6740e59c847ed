"""Files of labels, checked line by line; what is wrong anywhere is listed for all lines, and then
nothing of the file is imported."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from edgeneuro import bounded_json
from edgeneuro.controlplane.import_rows import Format, Row, RowFault, read_rows
from edgeneuro.controlplane.pacing import Pacer
from edgeneuro.domain.agent import NO_AGENT, Agent
from edgeneuro.domain.canonical import canonical
from edgeneuro.domain.query import query_hash
from edgeneuro.domain.text import MAX_QUERY_CHARACTERS
from edgeneuro.errors import InvalidLinesError, InvalidRequestError, LineFault

_MAX_ROWS = 50_000
_LAST_MESSAGES = ("user", "assistant")


class FileLabel(NamedTuple):
    line: int
    query: str
    agent_id: str | None


@dataclass
class LabelFile:
    """`labels` by query hash, in the file's order; `rows` counts duplicates too. `mapped` has the
    names of agents that are not ids, with the ids that they were taken for."""

    rows: int = 0
    labels: dict[str, FileLabel] = field(default_factory=dict)
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
    text: str,
    *,
    format: Format,
    agents: Sequence[Agent],
    stored: Callable[[str], str],
    pacer: Pacer,
) -> LabelFile:
    """`stored` gives a query as it may be stored. Raises InvalidLinesError where any line is
    wrong."""
    names = AgentNames(agents)
    file = LabelFile()
    faults: list[LineFault] = []
    for line, found in read_rows(text, format):
        file.rows += 1
        if file.rows > _MAX_ROWS:
            raise InvalidRequestError(
                f"The file has more than {_MAX_ROWS} lines; send it in parts.",
                code="too_many_lines",
            )
        try:
            if isinstance(found, RowFault):
                raise found
            query = stored(_query(found))
            _add(file, FileLabel(line, query, _agent_id(found, names, file.mapped)))
            await pacer.spend(len(query))
        except RowFault as fault:
            faults.append(LineFault(line, fault.param, fault.message))
            await pacer.spend(0)
    if faults:
        raise _invalid_lines(faults)
    if not file.rows:
        raise InvalidRequestError("The file has no lines; send some.", code="empty_file")
    return file


def _invalid_lines(faults: list[LineFault]) -> InvalidLinesError:
    first = faults[0]
    return InvalidLinesError(
        f"{len(faults)} of the file's lines are wrong, so nothing was imported. The first is line"
        f" {first.line}: {first.message}.",
        faults,
    )


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
    if any("\ud800" <= character <= "\udfff" for character in query):
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


def _answer(content: Any) -> Any:
    try:
        answer = bounded_json.loads(content) if isinstance(content, str) else None
    except bounded_json.InvalidJsonError:
        answer = None
    if not isinstance(answer, dict) or "agent" not in answer:
        raise RowFault("messages", 'messages: the last one must be JSON, {"agent": …}')
    return answer["agent"]


def _add(file: LabelFile, label: FileLabel) -> None:
    first = file.labels.setdefault(query_hash(label.query), label)
    if first.agent_id != label.agent_id:
        raise RowFault(
            "agent",
            f"agent: line {first.line} says {first.agent_id or NO_AGENT!r} for the same question,"
            f" this one {label.agent_id or NO_AGENT!r}; keep one of them",
        )
