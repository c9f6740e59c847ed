"""POST /v1/chat/completions: the way of a conversation's next message, step by step."""

import asyncio
from functools import partial

from edgeneuro.access.limits import refund_on_failure
from edgeneuro.call import Call
from edgeneuro.domain.chat import ChatRequest
from edgeneuro.domain.chat_answer import ChatCompletion
from edgeneuro.domain.log import Ending
from edgeneuro.errors import EdgeNeuroError, NoAgentFitsError, UpstreamError
from edgeneuro.synapsecore.chat.answer import (
    ChatResult,
    ChatStreamHandle,
    HandedBack,
    answer_whole,
    as_stream,
    ask,
    cache_chat,
    cached_chat,
    hand_off,
    open_stream,
)
from edgeneuro.synapsecore.chat.hand_back import next_turn
from edgeneuro.synapsecore.chat.request import plan_chat, reserve_chat
from edgeneuro.synapsecore.chat.response import (
    ChatOutcome,
    cache_state,
    completion,
    headers,
    record_chat,
)
from edgeneuro.synapsecore.chat.session import ChatSaid, remember_chat
from edgeneuro.synapsecore.chat.several import answer_all, stream_all
from edgeneuro.synapsecore.chat.stream import EVENT_STREAM, ChatStream, StreamStart
from edgeneuro.synapsecore.chat.turn import ChatTurn, begin_chat
from edgeneuro.synapsecore.session import named_session
from edgeneuro.synapsecore.turn import CallerContext
from edgeneuro.web.response import Reply, Response


async def create_chat_completion(call: Call, body: ChatRequest) -> Reply[ChatCompletion] | Response:
    """Answer a conversation, in OpenAI's format: by the agent that the router chooses (model
    "auto"), by an agent ("agent:ID") or by a model. With `stream` the answer is a stream of
    events."""
    if body.stream:
        return await StreamStart(call, partial(_stream, call, body)).response()
    return await _create(call, body, None)


async def _stream(call: Call, body: ChatRequest, start: StreamStart) -> Response:
    response = await _create(call, body, start)
    assert isinstance(response, Response), "it streams"
    return response


async def _create(
    call: Call, body: ChatRequest, start: StreamStart | None
) -> Reply[ChatCompletion] | Response:
    body.edgeneuro.session = named_session(call, body.edgeneuro.session)
    plan = await plan_chat(call.services, body, CallerContext.of(call))
    reservation = await reserve_chat(plan)
    with refund_on_failure(call.services, reservation, call.background):
        return await _answer(await begin_chat(plan, reservation), start)


async def _answer(turn: ChatTurn, start: StreamStart | None) -> Reply[ChatCompletion] | Response:
    try:
        while isinstance(answered := await _asked(turn), HandedBack):
            turn = await next_turn(turn, answered)
    except (UpstreamError, NoAgentFitsError) as failure:
        started = start is not None and start.has_started
        _record_unanswered(turn, "cut" if started else "complete", failure, streamed=started)
        raise
    except asyncio.CancelledError:
        if start is not None:
            _record_unanswered(turn, "client_gone", None, streamed=True)
        raise
    if isinstance(answered, ChatStreamHandle):
        return _streamed(turn, answered)
    return _whole(turn, answered)


async def _asked(turn: ChatTurn) -> ChatResult | ChatStreamHandle | HandedBack:
    """The answer of the agent or the model; a stream if the client wants one."""
    streams = turn.request.stream
    if turn.error is not None:
        raise turn.error
    with turn.clock.stage("chat_cache"):
        ready = await cached_chat(turn)
    with turn.clock.stage("answer"):
        if turn.clarify is not None:
            ready = ask(turn, turn.clarify)
        elif turn.hands_off is not None and not turn.shared:
            ready = hand_off(turn, turn.hands_off)
        if ready is not None:
            return as_stream(ready) if streams else ready
        if turn.shared:
            return await (stream_all(turn) if streams else answer_all(turn))
        return await (open_stream(turn) if streams else answer_whole(turn))


def _record_unanswered(
    turn: ChatTurn, ending: Ending, failure: EdgeNeuroError | None, *, streamed: bool
) -> None:
    outcome = ChatOutcome(
        cache=cache_state(turn, cached=False),
        latency_ms=turn.clock.total_ms(),
        failure=failure,
        streamed=streamed,
        ending=ending,
        in_session=remember_chat(turn, None, failure),
    )
    turn.caller.record(record_chat(turn, outcome))


def _streamed(turn: ChatTurn, stream: ChatStreamHandle) -> Response:
    """The log row is written when the stream ends."""
    events = ChatStream(turn, stream).events()
    return Response(200, events, {"content-type": EVENT_STREAM, **headers(turn, stream.model)})


def _whole(turn: ChatTurn, result: ChatResult) -> Reply[ChatCompletion]:
    cached_answer = None if result.cached else cache_chat(turn, result.model, result.answer)
    reply = Reply(completion(turn, result), headers(turn, result.model))
    outcome = ChatOutcome(
        cache=cache_state(turn, cached=result.cached),
        latency_ms=turn.clock.total_ms(),
        model=result.model,
        trace=result.trace,
        cached_answer=cached_answer,
        in_session=remember_chat(turn, _said(result)),
    )
    turn.caller.record(record_chat(turn, outcome))
    return reply


def _said(result: ChatResult) -> ChatSaid:
    """After a handoff the client itself gets the answer."""
    answer = result.answer
    text = None if result.handoff is not None else answer.content
    return ChatSaid(text=text, calls_tools=bool(answer.tool_calls))
