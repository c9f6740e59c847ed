"""Splits a finished completion into the parts that a model would have streamed."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator

from local.engines import Completion, Part, ToolCall, ToolCallDelta

_WORD = re.compile(r"\s*\S+\s*$|\s*\S+")
_WORDS_UP_TO = 20_000  # characters; a longer text goes in slices
_SLICE = 65_536


async def parts_of(completion: Completion) -> AsyncGenerator[Part, None]:
    for piece in pieces(completion.text):
        yield Part(piece)
    for index, call in enumerate(completion.tool_calls):
        for delta in _deltas(index, call):
            yield Part(tool_calls=(delta,))
    yield Part(finish_reason=completion.finish_reason, usage=completion.usage)


def pieces(text: str) -> Iterator[str]:
    """The words, each with the space before it."""
    if len(text) <= _WORDS_UP_TO:
        found = _WORD.findall(text)
        yield from found or ([text] if text else [])
        return
    for at in range(0, len(text), _SLICE):
        yield text[at : at + _SLICE]


def _deltas(index: int, call: ToolCall) -> Iterator[ToolCallDelta]:
    yield ToolCallDelta(index, "", call.id, call.name)
    for piece in pieces(call.arguments):
        yield ToolCallDelta(index, piece)
