"""What a row of a file says: the question, in any of the ways to say what was before it, and the
agent. What cannot be read is a RowFault."""

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError

from edgeneuro import bounded_json
from edgeneuro.controlplane.labels.import_rows import Row, RowFault
from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.chat_message import MAX_MESSAGES, Message
from edgeneuro.domain.conversation import (
    NOTHING_BEFORE,
    PreviousTurn,
    RouteContext,
    read_conversation,
    with_agent,
)
from edgeneuro.domain.fields import MAX_QUERY_CHARACTERS
from edgeneuro.domain.prompt import message_text
from edgeneuro.domain.query import canonical
from edgeneuro.errors import InvalidRequestError

FindAgent = Callable[[str], str | None]  # the id of an agent by what a file calls it
_LAST_MESSAGES = ("user", "assistant")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MESSAGES: TypeAdapter[list[Message]] = TypeAdapter(
    Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
)
_OF_CONTEXT = tuple(RouteContext.model_fields)


class RowQuestion(NamedTuple):
    """As the row has it, the text unchecked."""

    query: Any
    previous: PreviousTurn


def read_question(row: Row, find_agent: FindAgent) -> RowQuestion:
    found = _read_question(row, find_agent)
    previous = found.previous
    require_writable("context", f"{previous.user or ''}{previous.assistant or ''}")
    return found


def _read_question(row: Row, find_agent: FindAgent) -> RowQuestion:
    if is_exported(row):
        content = _last_messages(row)[0]
        found = read_message_text(content) if isinstance(content, str) else None
        return RowQuestion(content, NOTHING_BEFORE) if found is None else _checked_turn(*found)
    if "query" not in row and "messages" in row:
        return _of_messages(row, find_agent)
    return RowQuestion(row.get("query"), PreviousTurn.of(_context(row, find_agent)))


def _of_messages(row: Row, find_agent: FindAgent) -> RowQuestion:
    """A conversation: its last message of the user, after the turn before it."""
    context = _context(row, find_agent)
    try:
        messages = _MESSAGES.validate_python(row["messages"])
        found = with_agent(read_conversation(messages), context, param="context")
    except InvalidRequestError as error:
        raise RowFault("context", error.message.removesuffix(".")) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(
            f"[{each}]" if isinstance(each, int) else f".{each}" for each in first["loc"]
        )
        raise RowFault("messages", f"messages{place}: {first['msg']}") from error
    if not found.query:
        raise RowFault("messages", "messages: the last one of the user has no text; add one")
    return RowQuestion(found.query, found.previous)


def _context(row: Row, find_agent: FindAgent) -> RouteContext | None:
    """The field `context`, an object or its JSON, or the fields of it side by side, as in CSV. The
    agent need not exist any more."""
    given = row.get("context")
    if isinstance(given, str) and given.strip():
        with suppress(bounded_json.InvalidJsonError):
            given = bounded_json.loads(given)
    if given is None or given == "":
        given = {name: row[name] for name in _OF_CONTEXT if row.get(name)}
    if not isinstance(given, dict):
        fields = ", ".join(_OF_CONTEXT)
        raise RowFault("context", f"context: it must be an object with {fields}; or remove it")
    agent = given.get("previous_agent")
    if isinstance(agent, str):
        given = {**given, "previous_agent": find_agent(agent) or agent}
    try:
        return RouteContext.model_validate(given) if given else None
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f".{each}" for each in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = "there is no such field; remove it"
        raise RowFault("context", f"context{place}: {message}") from error


def checked_query(query: object) -> str:
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
    require_writable("query", query)
    return query


def _checked_turn(query: str, previous: PreviousTurn) -> RowQuestion:
    """An exported turn as it is; one that somebody has changed must still be a turn."""
    context = previous.shown()
    assert context is not None, "a turn is only read where there is one"
    try:
        checked = RouteContext.model_validate(context.model_dump())
    except ValidationError as error:
        raise RowFault("messages", "messages: the previous turn is not valid") from error
    return RowQuestion(query, PreviousTurn.of(checked))


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


def require_writable(param: str, text: str) -> None:
    """No answer and no column of D1 can hold half a surrogate pair, which JSON can say."""
    if _SURROGATE.search(text):
        raise RowFault(param, f"{param}: it holds half a surrogate pair; remove it")


def read_agent(row: Row) -> tuple[str, Any]:
    """Which field names the agent, and what it says."""
    if is_exported(row):
        return "messages", _answer(_last_messages(row)[1])
    given = {name: row[name] for name in ("agent", "agent_id") if name in row}
    if not given:
        raise RowFault("agent", 'agent: this field is missing; add it, "none" if no agent fits')
    if len({NO_AGENT if each is None else str(each).strip() for each in given.values()}) > 1:
        raise RowFault("agent_id", "agent_id: it differs from `agent`; keep one of the two")
    return next(iter(given.items()))


def is_exported(row: Row) -> bool:
    """A line of an export in the shapes for trainers: the assistant's last message names the agent.
    Other rows name it themselves, and may have such fields too."""
    if "query" in row or not ("messages" in row or "completion" in row):
        return False
    return "completion" in row or not row.keys() & {"agent", "agent_id"}


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
