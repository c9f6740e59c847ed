"""Agents that answer at an endpoint of their own, in the words of the seam to the models: whole or
as a stream, within the same limits, with the same errors."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.handoff import SIGNING_SECRET, Handoff, make_handoff
from edgeneuro.errors import UpstreamError, UpstreamNotConfiguredError, UpstreamTimeoutError
from edgeneuro.gateway.agents.a2a import last_user_text
from edgeneuro.gateway.agents.agent_protocols import VENDOR, Conversation, converse
from edgeneuro.gateway.agents.agent_refusal import refusal
from edgeneuro.gateway.agents.agent_request import endpoint_of, signed_request
from edgeneuro.gateway.deltas import play_whole, read_deltas
from edgeneuro.gateway.http import Fetch, HttpResponse, read_start, read_whole
from edgeneuro.gateway.retry_after import read_retry_after
from edgeneuro.gateway.seam import Delta, ModelAnswer, ModelRequest, ModelStream

_MAX_ANSWER_BYTES = 4_000_000
_MAX_ERROR_BYTES = 65_536


@asynccontextmanager
async def _within(milliseconds: int) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(milliseconds / 1000):
            yield
    except TimeoutError as error:
        message = f"{VENDOR} gave no answer within {milliseconds} ms."
        raise UpstreamTimeoutError(message) from error
    except OSError as error:
        raise UpstreamError(f"{VENDOR} could not be reached.") from error


class AgentEndpoints:
    """`secret(name)` gives the value of a Worker secret, `now` unix seconds, `new_id(prefix)` a new
    id."""

    def __init__(
        self,
        fetch: Fetch,
        *,
        secret: Callable[[str], str | None],
        now: Callable[[], float],
        new_id: Callable[[str], str],
    ) -> None:
        self._fetch = fetch
        self._secret = secret
        self._now = now
        self._new_id = new_id

    async def run(self, agent: Agent, request: ModelRequest, /) -> ModelAnswer:
        """Of an agent whose protocol is "openai" or "a2a". Raises errors.UpstreamError, of the
        class that says why there is no answer."""
        conversation = self._converse(agent, request)
        async with _within(request.timeout_ms):
            return await self._whole(agent, request, conversation)

    async def stream(self, agent: Agent, request: ModelRequest, /) -> ModelStream:
        """Returns once the first part is there. Raises as `run` does."""
        conversation = self._converse(agent, request)
        async with _within(request.timeout_ms):
            try:
                deltas = await self._deltas(agent, request, conversation)
                await anext(deltas)  # says that the first part is there
            except UpstreamError as error:
                if not conversation.may_ask_whole(error):
                    raise
                deltas = play_whole(await self._whole(agent, request, conversation))
                await anext(deltas)
        return ModelStream(deltas=deltas)

    def hand_off(self, agent: Agent, request: ModelRequest, /) -> Handoff:
        """For an agent whose protocol is "handoff"; nobody is called."""
        return make_handoff(
            agent,
            last_user_text(request.messages),
            url=endpoint_of(agent),
            secret=self._signing_secret(),
            message_id=self._new_id("msg"),
            now=self._now(),
        )

    def _converse(self, agent: Agent, request: ModelRequest) -> Conversation:
        return converse(agent, request, message_id=self._new_id("msg"))

    async def _whole(
        self, agent: Agent, request: ModelRequest, conversation: Conversation
    ) -> ModelAnswer:
        response = await self._send(agent, request, conversation, stream=False)
        return conversation.answer(await read_whole(response, limit=_MAX_ANSWER_BYTES))

    async def _deltas(
        self, agent: Agent, request: ModelRequest, conversation: Conversation
    ) -> AsyncGenerator[Delta, None]:
        response = await self._send(agent, request, conversation, stream=True)
        if (response.header("content-type") or "").lower().startswith("application/json"):
            body = await read_whole(response, limit=_MAX_ANSWER_BYTES)
            return play_whole(conversation.answer(body))
        return read_deltas(
            response, vendor=VENDOR, idle_ms=request.idle_ms, said=conversation.said()
        )

    async def _send(
        self, agent: Agent, request: ModelRequest, conversation: Conversation, *, stream: bool
    ) -> HttpResponse:
        sent = signed_request(
            agent,
            request,
            conversation.question(stream=stream),
            stream=stream,
            secret=self._signing_secret(),
            now=self._now(),
        )
        response = await self._fetch("POST", sent.url, sent.headers, sent.body)
        if not 200 <= response.status < 300:
            raise await self._refusal(response)
        return response

    async def _refusal(self, response: HttpResponse) -> UpstreamError:
        body = b""
        with suppress(OSError):  # the status says enough
            body = await read_start(response, limit=_MAX_ERROR_BYTES)
        text = body.decode(errors="replace")
        retry_after = read_retry_after(response, self._now)
        return refusal(response.status, text, vendor=VENDOR, retry_after=retry_after)

    def _signing_secret(self) -> str:
        secret = self._secret(SIGNING_SECRET)
        if not secret:
            raise UpstreamNotConfiguredError(
                f"The secret {SIGNING_SECRET}, by which agents know us, is not set. Set it with"
                f" `npx wrangler secret put {SIGNING_SECRET}`."
            )
        return secret
