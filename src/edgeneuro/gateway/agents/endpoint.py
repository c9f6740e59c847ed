"""Agents that answer at an endpoint of their own, behind the same interface as models: whole or
as a stream, within the same limits, with the same errors.

The body of a request is signed, so that an agent can check that it comes from here. The headers are
all our own: none of the caller's headers is forwarded. Redirects are not followed, so what a header
holds goes no further than the agent's own address."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.agent_endpoint import AgentAddress, address_of
from edgeneuro.domain.handoff import (
    SIGNATURE_HEADER,
    SIGNING_SECRET,
    Handoff,
    make_handoff,
    sign,
)
from edgeneuro.errors import (
    UpstreamError,
    UpstreamNotConfiguredError,
    UpstreamRejectedError,
    UpstreamTimeoutError,
)
from edgeneuro.gateway.agents.a2a import last_user_text
from edgeneuro.gateway.agents.identity import IdentityTokens
from edgeneuro.gateway.agents.not_mine import header_says_so, read_refusal
from edgeneuro.gateway.agents.protocols import VENDOR, Conversation, converse
from edgeneuro.gateway.agents.sign_in import IDENTITY_HEADER, secret_headers
from edgeneuro.gateway.deltas import as_stream, read_deltas
from edgeneuro.gateway.http import Fetch, HttpResponse, read_retry_after, read_start, read_whole
from edgeneuro.gateway.interface import Delta, ModelAnswer, ModelRequest, ModelStream
from edgeneuro.gateway.upstream_errors import upstream_error

_MAX_ANSWER_BYTES = 4_000_000
_MAX_ERROR_BYTES = 65_536
_OF_METADATA = {"decision_id": "x-edgeneuro-decision-id", "request_id": "x-request-id"}
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


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
    id. `service(name)` calls a binding of the Worker, None if it has none of that name; `local`
    calls programs on this machine, None if that is not allowed. `hosts` are those to which agents'
    secrets may go."""

    def __init__(
        self,
        fetch: Fetch,
        *,
        secret: Callable[[str], str | None],
        now: Callable[[], float],
        new_id: Callable[[str], str],
        identity: IdentityTokens,
        hosts: Collection[str] = (),
        service: Callable[[str], Fetch | None] = lambda name: None,
        local: Fetch | None = None,
    ) -> None:
        self._fetch = fetch
        self._secret = secret
        self._now = now
        self._new_id = new_id
        self.identity = identity
        self._hosts = hosts
        self._service = service
        self._local = local

    async def run(self, agent: Agent, request: ModelRequest, /) -> ModelAnswer:
        """The answer of an agent whose protocol is "openai" or "a2a". Raises errors.UpstreamError,
        of the class that says why there is no answer."""
        conversation = self._converse(agent, request)
        async with _within(request.timeout_ms):
            try:
                return await self._whole(agent, request, conversation)
            except UpstreamError as error:
                again = conversation.without_task(error)
                if again is None:
                    raise
            return await self._whole(agent, request, again)

    async def stream(self, agent: Agent, request: ModelRequest, /) -> ModelStream:
        """Returns when the first part has arrived. Raises the same errors as `run`."""
        conversation = self._converse(agent, request)
        async with _within(request.timeout_ms):
            try:
                deltas = await self._open(agent, request, conversation)
            except UpstreamError as error:
                again = conversation.without_task(error)
                if again is None:
                    raise
                deltas = await self._open(agent, request, again)
        return ModelStream(deltas=deltas)

    async def _open(
        self, agent: Agent, request: ModelRequest, conversation: Conversation
    ) -> AsyncGenerator[Delta, None]:
        try:
            deltas = await self._deltas(agent, request, conversation)
            await anext(deltas)  # returns when the first part has arrived
        except UpstreamError as error:
            if not conversation.may_ask_whole(error):
                raise
            deltas = as_stream(await self._whole(agent, request, conversation))
            await anext(deltas)
        return deltas

    def hand_off(self, agent: Agent, request: ModelRequest, /) -> Handoff:
        """For an agent whose protocol is "handoff"; no agent is called."""
        return make_handoff(
            agent,
            last_user_text(request.messages),
            url=self._address(agent).url,
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
        if header_says_so(response):
            return ModelAnswer(content=None, not_mine=await read_refusal(response))
        return conversation.answer(await read_whole(response, limit=_MAX_ANSWER_BYTES))

    async def _deltas(
        self, agent: Agent, request: ModelRequest, conversation: Conversation
    ) -> AsyncGenerator[Delta, None]:
        response = await self._send(agent, request, conversation, stream=True)
        if header_says_so(response):
            refusal = await read_refusal(response)
            return as_stream(ModelAnswer(content=None, not_mine=refusal))
        if (response.header("content-type") or "").lower().startswith("application/json"):
            body = await read_whole(response, limit=_MAX_ANSWER_BYTES)
            return as_stream(conversation.answer(body))
        return read_deltas(
            response, vendor=VENDOR, idle_ms=request.idle_ms, decoder=conversation.decoder()
        )

    async def _send(
        self, agent: Agent, request: ModelRequest, conversation: Conversation, *, stream: bool
    ) -> HttpResponse:
        address = self._address(agent)
        fetch = self._fetch_of(agent, address)
        headers, body = signed_request(
            agent,
            request,
            conversation.question(stream=stream),
            stream=stream,
            secret=self._signing_secret(),
            now=self._now(),
        )
        headers |= secret_headers(agent, address, secret=self._secret, hosts=self._hosts)
        if agent.knows_caller and request.caller is not None:
            headers[IDENTITY_HEADER] = await self.identity.token(
                agent.id, request.caller, token_id=self._new_id("tok")
            )
        response = await fetch("POST", address.url, headers, body)
        if not 200 <= response.status < 300 and not header_says_so(response):
            raise await self._refusal(agent, response)
        return response

    def _address(self, agent: Agent) -> AgentAddress:
        """Checked again: the row may be older than the rules, or edited in the database."""
        try:
            return address_of(agent.endpoint or "")
        except ValueError as error:
            raise UpstreamNotConfiguredError(
                f"The endpoint of the agent {agent.id!r} {error}."
            ) from error

    def _fetch_of(self, agent: Agent, address: AgentAddress) -> Fetch:
        if address.binding is not None:
            bound = self._service(address.binding)
            if bound is None:
                raise UpstreamNotConfiguredError(
                    f"The Worker has no binding {address.binding}, which the endpoint of the agent"
                    f" {agent.id!r} names. Add it to wrangler.toml, and deploy."
                )
            return bound
        if not address.local:
            return self._fetch
        if self._local is None:
            raise UpstreamNotConfiguredError(
                f"The endpoint of the agent {agent.id!r} is on this machine, which is possible only"
                " with `npm start`."
            )
        return self._local

    async def _refusal(self, agent: Agent, response: HttpResponse) -> UpstreamError:
        body = b""
        with suppress(OSError):  # the status says enough
            body = await read_start(response, limit=_MAX_ERROR_BYTES)
        text = body.decode(errors="replace")
        retry_after = read_retry_after(response, self._now)
        names = [] if agent.auth is None else agent.auth.secrets
        return refusal(response.status, text, vendor=VENDOR, retry_after=retry_after, secrets=names)

    def _signing_secret(self) -> str:
        secret = self._secret(SIGNING_SECRET)
        if not secret:
            raise UpstreamNotConfiguredError(
                f"The secret {SIGNING_SECRET}, by which agents know us, is not set. Set it with"
                f" `npx wrangler secret put {SIGNING_SECRET}`."
            )
        return secret


def signed_request(
    agent: Agent,
    request: ModelRequest,
    fields: dict[str, Any],
    *,
    stream: bool,
    secret: str,
    now: float,
) -> tuple[dict[str, str], bytes]:
    """Headers and body."""
    body = b"".join(request.images.pieces(json.dumps(fields, ensure_ascii=False)))
    ids = {"x-edgeneuro-agent": agent.id}
    for name, header in _OF_METADATA.items():
        ids[header] = request.metadata.get(name, "")
    headers = {
        "content-type": "application/json",
        "accept": "text/event-stream" if stream else "application/json",
        SIGNATURE_HEADER: sign(secret, agent_id=agent.id, body=body, now=now),
        # Only ids are put into headers.
        **{header: value for header, value in ids.items() if _ID.fullmatch(value)},
    }
    if request.trace is not None:
        headers["traceparent"] = request.trace.traceparent
    return headers, body


def refusal(
    status: int,
    body: str,
    *,
    vendor: str,
    retry_after: str | None,
    secrets: Sequence[str] = (),
) -> UpstreamError:
    """`secrets` are the names of those that the agent was sent."""
    if 300 <= status < 400:
        return UpstreamError(
            f"{vendor}'s endpoint answered with HTTP status {status}: redirects are not followed.",
            upstream_code=str(status),
        )
    if status in (401, 403):
        return UpstreamNotConfiguredError(
            f"{vendor} refuses us with HTTP status {status}. Check"
            f" {', '.join([*secrets, SIGNING_SECRET])} of this installation.",
            upstream_code=str(status),
        )
    error = upstream_error(status, body, vendor=vendor, retry_after=retry_after)
    if type(error) is UpstreamError and 400 <= status < 500:
        return UpstreamRejectedError(error.message, upstream_code=error.upstream_code)
    return error
