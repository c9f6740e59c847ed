"""The protocols of agents with an endpoint: converts requests to their formats, and their answers
from them."""

from typing import Any, Protocol

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.decision import GatewayTrace
from edgeneuro.domain.session import AgentMemory
from edgeneuro.errors import InvalidOutputError, UpstreamError
from edgeneuro.gateway.agents import a2a
from edgeneuro.gateway.agents.not_mine import AgentStreamDecoder, body_says_so
from edgeneuro.gateway.answers import read_answer
from edgeneuro.gateway.deltas import StreamDecoder
from edgeneuro.gateway.interface import Delta, ModelAnswer, ModelRequest
from edgeneuro.gateway.request_body import chat_body

VENDOR = "The agent"  # in errors


class Conversation(Protocol):
    """One question and its answer."""

    def question(self, *, stream: bool) -> dict[str, Any]: ...

    def answer(self, body: bytes) -> ModelAnswer: ...

    def decoder(self) -> StreamDecoder:
        """Decodes a streamed answer."""

    def may_ask_whole(self, error: UpstreamError) -> bool:
        """The error says only that the agent does not stream."""

    def without_task(self, error: UpstreamError) -> "Conversation | None":
        """The same question as that of a new task, if the error may say that the task is gone."""


def converse(agent: Agent, request: ModelRequest, *, message_id: str) -> Conversation:
    if agent.protocol == "a2a":
        return A2aConversation(
            a2a.last_user_text(request.messages), request.memory, message_id=message_id
        )
    return OpenAiConversation(request)


class OpenAiConversation:
    def __init__(self, request: ModelRequest) -> None:
        self._request = request

    def question(self, *, stream: bool) -> dict[str, Any]:
        return chat_body(self._request, "openai-compatible", stream=stream)

    def answer(self, body: bytes) -> ModelAnswer:
        refusal = body_says_so(body)
        if refusal is not None:
            return ModelAnswer(content=None, not_mine=refusal)
        return read_answer(body, GatewayTrace(), vendor=VENDOR)

    def decoder(self) -> StreamDecoder:
        return AgentStreamDecoder(VENDOR)

    def may_ask_whole(self, error: UpstreamError) -> bool:
        return False

    def without_task(self, error: UpstreamError) -> None:
        return None


class A2aConversation:
    def __init__(self, text: str, memory: AgentMemory | None, *, message_id: str) -> None:
        self._text = text
        self._memory = memory
        self._message_id = message_id

    def question(self, *, stream: bool) -> dict[str, Any]:
        return a2a.question(
            self._text, message_id=self._message_id, stream=stream, memory=self._memory
        )

    def answer(self, body: bytes) -> ModelAnswer:
        parser = a2a.A2aResponseParser()
        text = parser.feed(body)
        if not parser.finished:
            raise InvalidOutputError("The agent answered before its task was finished.")
        if parser.not_mine is not None:
            return ModelAnswer(content=None, not_mine=parser.not_mine)
        return ModelAnswer(content=text, agent_state=parser.state)

    def decoder(self) -> StreamDecoder:
        return _A2aStreamDecoder()

    def may_ask_whole(self, error: UpstreamError) -> bool:
        return a2a.cannot_stream(error)

    def without_task(self, error: UpstreamError) -> "A2aConversation | None":
        """The agent's conversation stays, and the message keeps its id: it was not accepted."""
        memory = self._memory
        if memory is None or memory.task_id is None or not a2a.refuses_task(error):
            return None
        memory = memory.model_copy(update={"task_id": None})
        return A2aConversation(self._text, memory, message_id=self._message_id)


class _A2aStreamDecoder:
    def __init__(self) -> None:
        self._parser = a2a.A2aResponseParser()

    @property
    def done(self) -> bool:
        return self._parser.finished

    @property
    def complete(self) -> bool:
        return self._parser.finished

    def feed(self, data: str) -> Delta:
        text = self._parser.feed(data)
        parser = self._parser
        return Delta(content=text, agent_state=parser.state, not_mine=parser.not_mine)

    def last(self) -> Delta:
        return Delta(finish_reason="stop", agent_state=self._parser.state)
