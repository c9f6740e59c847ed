"""The state as a model gets it: cut if it is longer than what the model reads."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from edgeneuro.domain.model import Model
from edgeneuro.synapsecore.decisions.asked import json_text

# Careful: nearly all texts have more bytes per token, so that what is sent is read.
_BYTES_PER_TOKEN = 2
_MIN_BYTES = 2_000
_MARK = "\n[…]\n"


class StateCut(BaseModel):
    """The state had `bytes` of UTF-8, and the model got `kept_bytes` of it: its head and its
    tail."""

    bytes: int
    kept_bytes: int


@dataclass(frozen=True)
class SentState:
    value: Any
    cut: StateCut | None = None


def fit_state(state: Any, model: Model, *, others: int) -> SentState:
    """The state as it is if it fits into the model's context beside `others` bytes, else the head
    and the tail of its text. A model whose context is not known gets all."""
    if model.context_window is None:
        return SentState(state)
    most = max(model.context_window * _BYTES_PER_TOKEN - others, _MIN_BYTES)
    text = json_text(state)
    size = len(text.encode())
    if size <= most:
        return SentState(state)
    kept = cut_text(text, most)
    return SentState(kept, StateCut(bytes=size, kept_bytes=len(kept.encode())))


def cut_text(text: str, max_bytes: int) -> str:
    """The head and the tail of a text, of the same size, with a mark between them."""
    content = text.encode()
    if len(content) <= max_bytes:
        return text
    side = max(0, max_bytes - len(_MARK.encode())) // 2
    head = content[:side].decode(errors="ignore")
    tail = content[len(content) - side :].decode(errors="ignore")
    return f"{head}{_MARK}{tail}"
