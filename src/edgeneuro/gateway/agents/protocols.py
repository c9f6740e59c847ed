"""The protocols of agents with an endpoint: converts requests to their formats, and their answers
from them."""

from typing import Any, Protocol

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.decision import GatewayTrace
from edgeneuro.errors import InvalidOutputError, UpstreamError
from edgeneuro.gateway.agents import a2a
from edgeneuro.gateway.answers import read_answer
from edgeneuro.gateway.deltas import OpenAiStreamDecoder, StreamDecoder
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


def converse(agent: Agent, request: ModelRequest, *, message_id: str) -> Conversation:
    if agent.protocol == "a2a":
        return A2aConversation(request, message_id)
    return OpenAiConversation(request)


class OpenAiConversation:
    def __init__(self, request: ModelRequest) -> None:
        self._request = request

    def question(self, *, stream: bool) -> dict[str, Any]:
        return chat_body(self._request, "openai-compatible", stream=stream)

    def answer(self, body: bytes) -> ModelAnswer:
        return read_answer(body, GatewayTrace(), vendor=VENDOR)

    def decoder(self) -> StreamDecoder:
        return OpenAiStreamDecoder(VENDOR)

    def may_ask_whole(self, error: UpstreamError) -> bool:
        return False


class A2aConversation:
    def __init__(self, request: ModelRequest, message_id: str) -> None:
        self._text = a2a.last_user_text(request.messages)
        self._message_id = message_id

    def question(self, *, stream: bool) -> dict[str, Any]:
        return a2a.question(self._text, message_id=self._message_id, stream=stream)

    def answer(self, body: bytes) -> ModelAnswer:
        parser = a2a.A2aResponseParser()
        text = parser.feed(body)
        if not parser.finished:
            raise InvalidOutputError("The agent answered before its task was finished.")
        return ModelAnswer(content=text)

    def decoder(self) -> StreamDecoder:
        return _A2aStreamDecoder()

    def may_ask_whole(self, error: UpstreamError) -> bool:
        return a2a.cannot_stream(error)


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
        return Delta(content=self._parser.feed(data))

    def last(self) -> Delta:
        return Delta(finish_reason="stop")
