"""What fits the context window of a decision model.

Models cut a long state silently. It is cut here, in the middle, because a message says what it
wants at its beginning or at its end, and how much was left out is known. Tokens are estimated from
bytes of UTF-8, with the careful rate of access/limits.py, so that what fits here fits every model's
own tokenizer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeneuro.access.limits import BYTES_PER_TOKEN, TEMPLATE_TOKENS
from edgeneuro.domain.question import Choice, Question, YesNo

DEFAULT_CONTEXT_WINDOW = 24_000  # tokens; that of the smallest Clef model
MIN_STATE_BYTES = 1_000  # of a longer state: however long the questions are
# What a model's template adds, roughly.
_BYTES_PER_QUESTION, _BYTES_PER_OPTION = 40, 8


@dataclass(frozen=True, slots=True)
class CutState:
    """`state` is the state as it was given, or the cut text of it. `left_out` is the number of
    characters that were left out."""

    state: Any
    left_out: int = 0


def window_bytes(context_window: int | None) -> int:
    """How many bytes surely fit; for a window that is not known, in one of 24,000 tokens."""
    tokens = (context_window or DEFAULT_CONTEXT_WINDOW) - TEMPLATE_TOKENS
    return max(0, tokens * BYTES_PER_TOKEN)


def json_text(value: Any) -> str:
    """A text as it is, other JSON as its text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def text_bytes(text: str | None) -> int:
    return len((text or "").encode("utf-8", "surrogatepass"))


def questions_bytes(questions: Mapping[str, Question]) -> int:
    """The bytes that the questions take, with those that a template adds."""
    return sum(text_bytes(name) + _question_bytes(each) for name, each in questions.items())


def _question_bytes(question: Question) -> int:
    size = _BYTES_PER_QUESTION + text_bytes(question.instructions)
    if isinstance(question, YesNo):
        return size + text_bytes(question.yes) + text_bytes(question.no)
    if isinstance(question, Choice):
        options = list(question.options.items())
    else:
        options = [(level.label, level.description) for level in question.levels]
    return size + sum(
        _BYTES_PER_OPTION + text_bytes(name) + text_bytes(text) for name, text in options
    )


def fit_state(
    state: Any, questions: Mapping[str, Question], context_window: int | None
) -> CutState:
    """The state as it fits beside the questions. One that is too long becomes a text with its
    middle left out: of a JSON state that is its JSON."""
    text = json_text(state)
    room = window_bytes(context_window) - questions_bytes(questions)
    cut, left_out = cut_text(text, max(room, MIN_STATE_BYTES))
    return CutState(cut, left_out) if left_out else CutState(state)


def cut_text(text: str, max_bytes: int) -> tuple[str, int]:
    """The beginning and the end of the text with a mark between them, of `max_bytes` bytes at most,
    and how many characters were left out: 0 if the text fits as it is. `max_bytes` has to leave
    room for the mark, of some 40 bytes."""
    if len(text) <= max_bytes and text_bytes(text) <= max_bytes:
        return text, 0
    half = max(0, max_bytes - len(_mark(len(text)))) // 2
    # A character has at least one byte, so no more of them are looked at.
    head = text[:half].encode("utf-8", "replace")[:half].decode("utf-8", "ignore")
    tail = text[len(text) - half :].encode("utf-8", "replace")
    tail_text = tail[max(0, len(tail) - half) :].decode("utf-8", "ignore")
    left_out = len(text) - len(head) - len(tail_text)
    return f"{head}{_mark(left_out)}{tail_text}", left_out


def _mark(characters: int) -> str:
    return f"\n[{characters} characters left out]\n"
