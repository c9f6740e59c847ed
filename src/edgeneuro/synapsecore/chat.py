"""Chats: the way of a conversation's next message, as the list of its stages."""

import asyncio
from functools import partial

from edgeneuro.access.limits import refund_on_failure
from edgeneuro.call import Call
from edgeneuro.domain.chat import ChatRequest
from edgeneuro.domain.chat_answer import ChatCompletion
from edgeneuro.domain.log import Ending
from edgeneuro.errors import EdgeNeuroError, NoAgentFitsError, UpstreamError
from edgeneuro.synapsecore.chat_ask import Given, Opened, ask_whole, hand_off, open_stream
from edgeneuro.synapsecore.chat_begin import Beginning
from edgeneuro.synapsecore.chat_plan import plan_turn, reserve_turn
from edgeneuro.synapsecore.chat_recall import recall_chat, remember_chat, replay
from edgeneuro.synapsecore.chat_record import Outcome, record_chat
from edgeneuro.synapsecore.chat_reply import cache_state, completion, headers
from edgeneuro.synapsecore.chat_stream import EVENT_STREAM, ChatStream
from edgeneuro.synapsecore.chat_turn import Turn, begin_turn
from edgeneuro.synapsecore.record import Asker
from edgeneuro.web.response import Reply, Response


async def create_chat_completion(call: Call, body: ChatRequest) -> Reply[ChatCompletion] | Response:
    """Answer a conversation, in OpenAI's shape: by the agent that the router chooses (model
    "auto"), by an agent ("agent:ID") or by a model. With `stream` it comes as events."""
    if body.stream:
        return await Beginning(call, partial(_stream, call, body)).response()
    return await _create(call, body, None)


async def _stream(call: Call, body: ChatRequest, beginning: Beginning) -> Response:
    response = await _create(call, body, beginning)
    assert isinstance(response, Response), "it streams"
    return response


async def _create(
    call: Call, body: ChatRequest, beginning: Beginning | None
) -> Reply[ChatCompletion] | Response:
    asker = Asker.of(call)
    plan = await plan_turn(call.services, body, asker)
    reservation = await reserve_turn(plan)
    with refund_on_failure(call.services, reservation, call.background):
        return await _answer(await begin_turn(plan, reservation), beginning)


async def _answer(turn: Turn, beginning: Beginning | None) -> Reply[ChatCompletion] | Response:
    streams = turn.request.stream
    try:
        if turn.error is not None:
            raise turn.error
        with turn.stages.stage("recall_chat"):
            ready = await recall_chat(turn)
        with turn.stages.stage("answer"):
            if turn.hands_off is not None:
                ready = hand_off(turn, turn.hands_off)
            if streams:
                opened = await open_stream(turn) if ready is None else replay(ready)
            else:
                given = await ask_whole(turn) if ready is None else ready
    except (UpstreamError, NoAgentFitsError) as failure:
        has_begun = beginning is not None and beginning.has_begun
        _record_unanswered(turn, "cut" if has_begun else "complete", failure, streamed=has_begun)
        raise
    except asyncio.CancelledError:
        if beginning is not None:
            _record_unanswered(turn, "client_gone", None, streamed=True)
        raise
    return _streamed(turn, opened) if streams else _whole(turn, given)


def _record_unanswered(
    turn: Turn, ending: Ending, failure: EdgeNeuroError | None, *, streamed: bool
) -> None:
    outcome = Outcome(
        cache=cache_state(turn, kept=False),
        latency_ms=turn.stages.total_ms(),
        failure=failure,
        streamed=streamed,
        ending=ending,
    )
    turn.asker.background(record_chat(turn, outcome))


def _streamed(turn: Turn, opened: Opened) -> Response:
    """The row is written when the stream ends."""
    events = ChatStream(turn, opened).events()
    return Response(200, events, {"content-type": EVENT_STREAM, **headers(turn, opened.model)})


def _whole(turn: Turn, given: Given) -> Reply[ChatCompletion]:
    new_answer = None if given.kept else remember_chat(turn, given.model, given.answer)
    reply = Reply(completion(turn, given), headers(turn, given.model))
    outcome = Outcome(
        cache=cache_state(turn, kept=given.kept),
        latency_ms=turn.stages.total_ms(),
        model=given.model,
        trace=given.trace,
        new_answer=new_answer,
    )
    turn.asker.background(record_chat(turn, outcome))
    return reply
