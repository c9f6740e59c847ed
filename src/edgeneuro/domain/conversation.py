"""The conversation around a message: what is routed, and the turn before it.

One whole previous turn counts, the user's message and the answer to it; what came before is
ignored. A reply like "yes, the second one" means nothing without it, and more only misleads: the
longer the history, the more agents it speaks of."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from edgeneuro.domain.agent import AgentId
from edgeneuro.domain.chat_message import Message, texts_of
from edgeneuro.domain.fields import routed_text, without_nul
from edgeneuro.domain.query import canonical, near_hash, normalise, query_hash, similar_hash
from edgeneuro.errors import InvalidRequestError

MAX_PREVIOUS_CHARACTERS = 1_000  # of each text of the previous turn
_MARK = " ... "  # as canonical() has it


def previous_text(text: str, *, most: int = MAX_PREVIOUS_CHARACTERS) -> str:
    """The canonical text of the previous turn. Of one that is longer than `most` characters the
    beginning and the end count: an answer says at its end what it asks for."""
    half = (most - len(_MARK)) // 2
    text = text.strip()
    # The canonical text may be shorter, so more than what counts is looked at.
    if len(text) > 4 * most:
        text = text[: 2 * most] + _MARK + text[-2 * most :]
    text = canonical(text)
    if len(text) <= most:
        return text
    return canonical(text[:half] + _MARK + text[-half:])


PreviousText = Annotated[str, AfterValidator(without_nul), AfterValidator(previous_text)]


class RouteContext(BaseModel):
    """The turn before the message: the id of the agent that answered, what the user said, and the
    answer. Of a text with more than 1,000 characters the beginning and the end count. An agent that
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
        # No text has a NUL.
        user, assistant = normalise(self.user or ""), normalise(self.assistant or "")
        return f"{self.agent or ''}\0{user}\0{assistant}"

    @classmethod
    def of(cls, context: RouteContext | None) -> "PreviousTurn":
        if context is None:
            return NOTHING_BEFORE
        return cls(
            context.previous_agent,
            context.previous_user or None,
            context.previous_assistant or None,
        )

    def of_agents(self, known: Container[str]) -> "PreviousTurn":
        """Without an agent that is none of these: one that was deleted or disabled since, or that
        the caller may not use."""
        return self if self.agent is None or self.agent in known else replace(self, agent=None)

    def shortened(self, characters: int) -> "PreviousTurn":
        """With at most so many characters of each text; without texts for 0."""
        if not characters:
            return replace(self, user=None, assistant=None)
        user, assistant = (
            text and previous_text(text, most=characters) for text in (self.user, self.assistant)
        )
        return replace(self, user=user, assistant=assistant)

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
    turn are similar, whatever they say: they are of one conversation. `previous` is the question
    hash of what the user said in that turn, without a context of its own."""

    question: str
    near: str
    similar: str
    previous: str | None

    @classmethod
    def of(cls, query: str, previous: PreviousTurn = NOTHING_BEFORE) -> "QuestionHashes":
        identity = previous.identity
        if previous.user and previous.assistant:
            # A greeting alone, or a user's "yes" alone, is in many conversations.
            similar = similar_hash(f"{previous.user}\n{previous.assistant}", "previous turn")
        else:
            similar = similar_hash(query, identity)
        return cls(
            query_hash(query, identity),
            near_hash(query, identity),
            similar,
            None if previous.user is None else query_hash(previous.user),
        )


@dataclass(frozen=True, slots=True)
class Conversation:
    """`query` is the canonical text of the message that is routed; empty if there is none.
    `continues` is true if an agent has begun to answer it: calls of tools, or their results, stand
    after it."""

    query: str
    previous: PreviousTurn = NOTHING_BEFORE
    continues: bool = False


def read_conversation(messages: Sequence[Message]) -> Conversation:
    """The last message of the user, and the turn before it. What stands after that message (calls
    of tools, their results, notes of the system) does not change what is routed. An answer in
    several messages is one text."""
    return read_said([(each.role, "\n".join(texts_of(each))) for each in messages])


def read_said(said: Sequence[tuple[str, str]]) -> Conversation:
    """The same of roles and texts."""
    query: str | None = None
    continues = False
    answers: list[str] = []
    for role, text in reversed(said):
        if query is None and role in ("assistant", "tool", "function"):
            continues = True
        if role not in ("user", "assistant"):
            continue
        if query is None:
            if role == "user":
                query = routed_text(text)
            continue
        if not text.strip():
            continue
        if role == "user":
            return Conversation(query, _previous(text, answers), continues)
        answers.insert(0, text)
    return Conversation(query or "", _previous(None, answers), continues)


def with_agent(
    conversation: Conversation, context: RouteContext | None, *, param: str
) -> Conversation:
    """With the agent of the turn before, which messages do not name. Raises InvalidRequestError if
    the context has texts, because the messages say them."""
    if context is None:
        return conversation
    if context.previous_user or context.previous_assistant:
        raise InvalidRequestError(
            f"{param}: with messages it has `previous_agent` alone, because the messages say the"
            " rest. Remove `previous_user` and `previous_assistant`.",
            param=param,
        )
    previous = replace(conversation.previous, agent=context.previous_agent)
    return replace(conversation, previous=previous)


def _previous(user: str | None, answers: list[str]) -> PreviousTurn:
    said = None if user is None else previous_text(user) or None
    answer = previous_text("\n".join(answers)) or None
    return PreviousTurn(None, said, answer)
