"""A decision model's questions as prompts for a text model, and its possible answers as texts.

The question is the system message and the state the user's, so that what is computed for a question
serves the next state too. The answer's turn begins with "Answer:".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from local.decisions import (
    Answer,
    Choice,
    ChoiceAnswer,
    Question,
    Score,
    ScoreAnswer,
    YesNo,
    YesNoAnswer,
    text_of,
)
from local.engines import Message
from local.engines.transformers_engine.base import Base
from local.engines.transformers_engine.conversation import require_room
from local.engines.transformers_engine.prefixes import WORTH_IT

LEAD = "Answer:"
# Says nothing; what a model answers to it is its preference for words (contextual calibration, Zhao
# et al., ICML 2021).
NO_STATE = "N/A"


@dataclass(frozen=True)
class Prompt:
    """`shared` are the first of the tokens, if they serve other states; `options` are the tokens of
    each possible answer."""

    tokens: list[int]
    shared: tuple[int, ...]
    options: list[list[int]]


def build_prompt(base: Base, question: Question, state: Any) -> Prompt:
    """A state that does not fit into the context window loses its end, as with decision models."""
    tokenizer = base.conversation.tokenizer
    options = [_encode(tokenizer, text) for text in answer_texts(question)]
    room = base.entry.context_window - max(len(tokens) for tokens in options) - 1
    text = state_text(state)
    while len(tokens := _tokens(base, question, text)) > room and text:
        kept = _encode(tokenizer, text)[: room - len(tokens)]  # a negative number, from the end
        text = tokenizer.decode(kept) if kept else ""
    require_room(tokens, base.entry.context_window)
    shared = base.conversation.shared(messages_for(question, text), tokens)
    return Prompt(tokens, tuple(tokens[:shared]) if shared >= WORTH_IT else (), options)


def messages_for(question: Question, state: str) -> tuple[Message, ...]:
    return (Message("system", _instructions(question)), Message("user", state))


def _tokens(base: Base, question: Question, state: str) -> list[int]:
    messages = messages_for(question, state)
    lead = _encode(base.conversation.tokenizer, LEAD)
    return [*base.conversation.tokens(messages), *lead]


def _encode(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def answer_texts(question: Question) -> list[str]:
    """What may follow `LEAD`, in the order of the question's answers; of a yes/no question yes
    first."""
    match question:
        case YesNo():
            return [" yes", " no"]
        case Choice(_, options):
            return [f" {each}" for each in options]
        case Score(_, levels):
            return [f" {at}" for at in range(len(levels))]


def answer_of(question: Question, shares: Sequence[float]) -> Answer:
    match question:
        case YesNo():
            return YesNoAnswer(shares[0])
        case Choice(_, options):
            return ChoiceAnswer(dict(zip(options, shares, strict=True)))
        case Score():
            return ScoreAnswer(tuple(shares))


def state_text(state: Any) -> str:
    """A conversation as lines of a dialogue, other JSON as it is."""
    if isinstance(state, list) and all(_is_turn(each) for each in state):
        return "\n".join(f"{each['role']}: {text_of(each['content'])}" for each in state)
    return text_of(state)


def _is_turn(value: Any) -> bool:
    return isinstance(value, dict) and {"role", "content"} <= value.keys()


def _instructions(question: Question) -> str:
    match question:
        case YesNo(instructions, yes, no):
            meant = [f"{name} means: {text}" for name, text in (("Yes", yes), ("No", no)) if text]
            return "\n".join([instructions, *meant, "Answer with yes or no only."])
        case Choice(instructions, options):
            listed = [f"- {key}: {text}" if text else f"- {key}" for key, text in options.items()]
            last = "Answer with the id of one option only."
            return "\n".join([instructions, "", "Options:", *listed, "", last])
        case Score(instructions, levels):
            listed = [f"{at}: {level.text}" for at, level in enumerate(levels)]
            last = "Answer with the number of one level only."
            return "\n".join([instructions, "", "Levels:", *listed, "", last])
