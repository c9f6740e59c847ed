"""Chat answers that were given before: found in the isolate or in D1, kept, and played again as a
stream.

Where the settings say that texts are not stored, or not as they are, answers are kept in the
isolate's memory alone."""

import re
from collections.abc import AsyncGenerator, Iterator

from pydantic import ValidationError

from edgeneuro.domain.chat_answer import KeptAnswer
from edgeneuro.domain.model import Model
from edgeneuro.errors import DatabaseError
from edgeneuro.gateway.interface import Delta
from edgeneuro.store.answer_cache import CHATS
from edgeneuro.store.database import Statement
from edgeneuro.synapsecore.chat_ask import Given, Opened
from edgeneuro.synapsecore.chat_turn import Turn

MAX_KEPT_BYTES = 64 * 1024
_COMPLETE = ("stop", "tool_calls")
_PART_CHARACTERS = 40


async def recall_chat(turn: Turn) -> Given | None:
    """None is a miss. A cache that fails or holds damaged rows is a miss too, and is counted."""
    key, services = turn.cache_key, turn.services
    if key is None:
        return None
    now_ms = services.now_ms()
    answer = services.recent_chats.get(key, now_ms=now_ms)
    if answer is None and turn.config.stores_texts:
        try:
            found = await CHATS.read(services.db, key, now_ms=now_ms)
        except (DatabaseError, ValidationError) as error:
            services.failures.note("chat_cache_read", error)
            return None
        if found is not None:
            answer, expires_at_ms = found
            services.recent_chats.put(key, answer, expires_at_ms=expires_at_ms)
    return None if answer is None else Given(turn.models[0], answer, kept=True)


def remember_chat(turn: Turn, model: Model, answer: KeptAnswer) -> Statement | None:
    """Keeps an answer in the isolate; returns the write that keeps it in D1. Only a complete one is
    kept, and only of the first model: another's would stand in long after that one is well."""
    key = turn.cache_key
    if key is None or model is not turn.models[0] or answer.finish_reason not in _COMPLETE:
        return None
    if not (answer.content or answer.tool_calls):
        return None
    text = answer.model_dump_json()
    if len(text.encode()) > MAX_KEPT_BYTES:
        return None
    expires_at_ms = turn.services.now_ms() + turn.config.cache_ttl_seconds * 1000
    turn.services.recent_chats.put(key, answer, expires_at_ms=expires_at_ms)
    return (
        CHATS.upsert(key, text, expires_at_ms=expires_at_ms) if turn.config.stores_texts else None
    )


def replay(given: Given) -> Opened:
    """An answer that is there already as a stream."""
    first, *others = _deltas(given.answer)

    async def deltas() -> AsyncGenerator[Delta, None]:
        for delta in others:
            yield delta

    return Opened(given.model, first, deltas(), kept=given.kept, handoff=given.handoff)


def _deltas(answer: KeptAnswer) -> Iterator[Delta]:
    for part in _parts(answer.content or ""):
        yield Delta(content=part)
    calls = tuple({"index": at, **call} for at, call in enumerate(answer.tool_calls))
    yield Delta(tool_calls=calls, finish_reason=answer.finish_reason)


def _parts(text: str) -> Iterator[str]:
    """A text in parts that end before a word."""
    part = ""
    for word in re.findall(r"\s*\S+|\s+$", text):
        if len(part) >= _PART_CHARACTERS:
            yield part
            part = ""
        part += word
    if part:
        yield part
