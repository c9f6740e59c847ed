"""Files of labels: JSON Lines or CSV, checked line by line; what is wrong anywhere is told for all
lines, and then nothing of the file is taken."""

import csv
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from edgeneuro import bounded_json
from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.canonical import canonical
from edgeneuro.domain.query import query_hash
from edgeneuro.errors import InvalidLinesError, InvalidRequestError, LineFault

_MAX_ROWS = 50_000
_MAX_QUERY = 8_000  # as POST /v1/route takes
_LAST_MESSAGES = ("user", "assistant")


class FileLabel(NamedTuple):
    line: int
    query: str
    agent_id: str | None


@dataclass
class LabelFile:
    """`labels` by query hash, in the file's order; `rows` counts duplicates too."""

    rows: int = 0
    labels: dict[str, FileLabel] = field(default_factory=dict)


class _Fault(Exception):
    def __init__(self, param: str | None, message: str) -> None:
        self.param = param
        self.message = message


def read_file(
    body: bytes, *, format: str, agents: Collection[str], stored: Callable[[str], str]
) -> LabelFile:
    """`stored` gives a query as it may be stored. Raises InvalidLinesError where any line is
    wrong."""
    text = _text(body)
    file = LabelFile()
    faults: list[LineFault] = []
    for line, found in _csv_rows(text) if format == "csv" else _json_rows(text):
        file.rows += 1
        if file.rows > _MAX_ROWS:
            raise InvalidRequestError(
                f"The file has more than {_MAX_ROWS} lines; send it in parts.",
                code="too_many_lines",
            )
        try:
            if isinstance(found, _Fault):
                raise found
            query, agent_id = stored(_query(found)), _agent_id(found, agents)
            _add(file, FileLabel(line, query, agent_id))
        except _Fault as fault:
            faults.append(LineFault(line, fault.param, fault.message))
    if faults:
        raise _invalid_lines(faults)
    if not file.rows:
        raise InvalidRequestError("The file has no lines; send some.", code="empty_file")
    return file


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        fault = LineFault(line, None, "this line is not UTF-8; save the file as UTF-8")
        raise _invalid_lines([fault]) from error


def _invalid_lines(faults: list[LineFault]) -> InvalidLinesError:
    first = faults[0]
    return InvalidLinesError(
        f"{len(faults)} of the file's lines are wrong, so nothing was imported. The first is line"
        f" {first.line}: {first.message}.",
        faults,
    )


def _json_rows(text: str) -> Iterator[tuple[int, dict[str, Any] | _Fault]]:
    for number, line in enumerate(_lines(text), start=1):
        if not line.strip():
            continue
        try:
            row = bounded_json.loads(line)
        except bounded_json.InvalidJsonError:
            yield number, _Fault(None, "this line is not JSON")
            continue
        if not isinstance(row, dict):
            yield number, _Fault(None, "this line is not a JSON object")
        elif not (number == 1 and "manifest" in row):  # that of an export
            yield number, row


def _lines(text: str) -> Iterator[str]:
    """One by one, with their ends. splitlines() would make all at once, and end lines at characters
    that JSON texts may hold."""
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, Any] | _Fault]]:
    reader = csv.reader(_lines(text), strict=True)
    header: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            if not cells:  # an empty line
                pass
            elif header is None:
                header = [cell.strip() for cell in cells]
                if not {"query"} < set(header) or not {"agent", "agent_id"} & set(header):
                    message = "the first line must name the columns query and agent, with a comma"
                    yield line, _Fault(None, message)
                    return
            elif len(cells) != len(header):
                message = f"this line has {len(cells)} cells, the first one has {len(header)}"
                yield line, _Fault(None, message)
            else:
                yield line, dict(zip(header, cells, strict=True))
            line = reader.line_num + 1  # a cell may hold line ends
    except csv.Error as error:
        yield line, _Fault(None, f"this line is not CSV: {error}")


def _query(row: dict[str, Any]) -> str:
    query = _last_messages(row)[0] if _is_conversation(row) else row.get("query")
    if query is None:
        raise _Fault("query", "query: this field is missing; add it")
    if not isinstance(query, str):
        raise _Fault("query", "query: this is not a text")
    if len(query) <= 2 * _MAX_QUERY:  # its canonical text may be shorter
        query = canonical(query)
    if not 1 <= len(query) <= _MAX_QUERY:
        raise _Fault("query", f"query: it must have 1 to {_MAX_QUERY} characters")
    if "\0" in query:
        raise _Fault("query", "query: it must not hold the character U+0000; remove it")
    if any("\ud800" <= character <= "\udfff" for character in query):
        raise _Fault("query", "query: it holds half a surrogate pair; remove it")
    return query


def _agent_id(row: dict[str, Any], agents: Collection[str]) -> str | None:
    if _is_conversation(row):
        name, agent = "messages", _answer(_last_messages(row)[1])
    else:
        name = "agent" if "agent" in row else "agent_id"
        if name not in row:
            raise _Fault("agent", 'agent: this field is missing; add it, "none" if no agent fits')
        agent = row[name]
    if agent is None:
        return None
    if not isinstance(agent, str):
        raise _Fault(name, f"{name}: this is not a text")
    agent = agent.strip()
    if agent == NO_AGENT:
        return None
    if agent not in agents:
        words = f"{name}: there is no agent {agent[:100]!r}; GET /v1/agents lists them"
        raise _Fault(name, words)
    return agent


def _is_conversation(row: dict[str, Any]) -> bool:
    return "messages" in row or "completion" in row


def _last_messages(row: dict[str, Any]) -> list[Any]:
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
    raise _Fault("messages", "messages: the last two must be the user's and the assistant's")


def _answer(content: Any) -> Any:
    try:
        answer = bounded_json.loads(content) if isinstance(content, str) else None
    except bounded_json.InvalidJsonError:
        answer = None
    if not isinstance(answer, dict) or "agent" not in answer:
        raise _Fault("messages", 'messages: the last one must be JSON, {"agent": …}')
    return answer["agent"]


def _add(file: LabelFile, label: FileLabel) -> None:
    first = file.labels.setdefault(query_hash(label.query), label)
    if first.agent_id != label.agent_id:
        raise _Fault(
            "agent",
            f"agent: line {first.line} says {first.agent_id or NO_AGENT!r} for the same question,"
            f" this one {label.agent_id or NO_AGENT!r}; keep one of them",
        )
