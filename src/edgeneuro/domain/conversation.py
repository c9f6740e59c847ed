"""The conversation around a message: what is routed, and the turn before it.

One whole previous turn counts, the user's message and the answer to it; what came before is
ignored. A reply like "yes, the second one" means nothing without it, and more only misleads: the
longer the history, the more agents it speaks of."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from edgeneuro.domain.agent import AgentId
from edgeneuro.domain.chat_message import Message, texts_of
from edgeneuro.domain.fields import routed_text, without_nul
from edgeneuro.domain.query import canonical, near_hash, normalise, query_hash, similar_hash

MAX_PREVIOUS_CHARACTERS = 2_000  # of each text of the previous turn
_MARK = " … "


def previous_text(text: str) -> str:
    """The canonical text of the previous turn. Of a longer one than 2,000 characters the beginning
    and the end count: an answer says at its end what it asks for."""
    half = (MAX_PREVIOUS_CHARACTERS - len(_MARK)) // 2
    # The canonical text may be shorter, so more than what counts is looked at.
    if len(text) > 4 * MAX_PREVIOUS_CHARACTERS:
        text = text[: 2 * MAX_PREVIOUS_CHARACTERS] + _MARK + text[-2 * MAX_PREVIOUS_CHARACTERS :]
    text = canonical(text)
    if len(text) <= MAX_PREVIOUS_CHARACTERS:
        return text
    return canonical(text[:half] + _MARK + text[-half:])


PreviousText = Annotated[str, AfterValidator(without_nul), AfterValidator(previous_text)]


class RouteContext(BaseModel):
    """The turn before the message: the id of the agent that answered, what the user said, and the
    answer. Of a text with more than 2,000 characters the beginning and the end count. An agent that
    is not enabled is ignored."""

    model_config = ConfigDict(extra="forbid", strict=True)

    previous_agent: AgentId | None = None
    previous_user: PreviousText | None = None
    previous_assistant: PreviousText | None = None


@dataclass(frozen=True)
class PreviousTurn:
    """The turn before the message, as far as it is known: the id of the agent that answered, what
    the user said and the answer, both in canonical form. False if nothing is known."""

    agent: str | None = None
    user: str | None = None
    assistant: str | None = None

    def __bool__(self) -> bool:
        return self.agent is not None or self.user is not None or self.assistant is not None

    @cached_property
    def identity(self) -> str:
        """The part of a question's identity that the context is; empty without one. It is the same
        for all spellings, as that of a question."""
        if not self:
            return ""
        texts = [normalise(text or "") for text in (self.user, self.assistant)]
        return json.dumps([self.agent, *texts], ensure_ascii=False)

    @classmethod
    def of(cls, context: RouteContext | None) -> "PreviousTurn":
        if context is None:
            return NOTHING_BEFORE
        return cls(
            context.previous_agent,
            context.previous_user or None,
            context.previous_assistant or None,
        )

    def shown(self) -> RouteContext | None:
        """As the API has it; None if nothing is known."""
        if not self:
            return None
        return RouteContext.model_construct(
            previous_agent=self.agent,
            previous_user=self.user,
            previous_assistant=self.assistant,
        )


NOTHING_BEFORE = PreviousTurn()


@dataclass(frozen=True, slots=True)
class QuestionHashes:
    """The identities of a message with the turn before it: of the question, of its near-duplicates,
    and of the similar questions, which are in one part of the data set. Messages after the same
    turn are similar, whatever they say: they are of one conversation."""

    question: str
    near: str
    similar: str

    @classmethod
    def of(cls, query: str, previous: PreviousTurn = NOTHING_BEFORE) -> "QuestionHashes":
        identity = previous.identity
        if previous.user and previous.assistant:
            # A greeting alone, or a user's "yes" alone, is in many conversations.
            similar = similar_hash(f"{previous.user}\n{previous.assistant}", "previous turn")
        else:
            similar = similar_hash(query, identity)
        return cls(query_hash(query, identity), near_hash(query, identity), similar)


@dataclass(frozen=True, slots=True)
class Conversation:
    """`query` is the canonical text of the message that is routed; empty if there is none."""

    query: str
    previous: PreviousTurn = NOTHING_BEFORE


def read_conversation(messages: Iterable[Message]) -> Conversation:
    """The last message of the user, and the turn before it. What stands after that message (calls
    of tools, their results, notes of the system) does not change what is routed. An answer in
    several messages is one text."""
    query: str | None = None
    answers: list[str] = []
    for message in reversed(list(messages)):
        if message.role not in ("user", "assistant"):
            continue
        text = "\n".join(texts_of(message))
        if query is None:
            if message.role == "user":
                query = routed_text(text)
            continue
        if not text.strip():
            continue
        if message.role == "user":
            return Conversation(query, _previous(text, answers))
        answers.insert(0, text)
    return Conversation(query or "", _previous(None, answers))


def _previous(user: str | None, answers: list[str]) -> PreviousTurn:
    said = None if user is None else previous_text(user) or None
    answer = previous_text("\n".join(answers)) or None
    return PreviousTurn(None, said, answer)
