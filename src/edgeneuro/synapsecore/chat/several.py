"""A message for several agents, answered by all of them: one message with an answer of each, one
after another. An agent that fails is named with the reason, and the others answer all the same."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from edgeneuro.domain.chat_answer import ChatAnswer
from edgeneuro.domain.decision import GatewayTrace, Usage
from edgeneuro.domain.handoff import Handoff
from edgeneuro.domain.outcome import SharedAgent
from edgeneuro.errors import EdgeNeuroError, NoAgentFitsError, UpstreamError
from edgeneuro.gateway.interface import Delta
from edgeneuro.synapsecore.chat.answer import (
    ChatResult,
    ChatStreamHandle,
    HandedBack,
    answer_whole,
    as_stream,
    hand_off,
    open_stream,
)
from edgeneuro.synapsecore.chat.models import models_of_agent
from edgeneuro.synapsecore.chat.turn import ChatTurn

_BETWEEN = "\n\n"


async def answer_all(turn: ChatTurn) -> ChatResult:
    """Raises the first UpstreamError if none answers, NoAgentFitsError if all handed the message
    back."""
    texts: list[str] = []
    answered: list[ChatResult] = []
    failure: EdgeNeuroError | None = None
    for shared in turn.shared:
        try:
            result = await _whole(_turn_of(turn, shared))
        except (UpstreamError, NoAgentFitsError) as error:
            failure = _graver(failure, error)
            texts.append(_failed(shared, error))
            continue
        answered.append(result)
        texts.append(_heading(shared) + (result.answer.content or ""))
    if not answered:
        assert failure is not None, "there are several agents"
        raise failure
    reasons = [each.answer.finish_reason for each in answered]
    answer = ChatAnswer(content=_BETWEEN.join(texts), finish_reason=_finish_reason(reasons))
    first = answered[0]
    return ChatResult(first.model, answer, first.trace, handoff=_handoff(answered))


async def stream_all(turn: ChatTurn) -> ChatStreamHandle:
    """Raises the first UpstreamError if none begins to answer, NoAgentFitsError if all handed the
    message back."""
    return await _Answers(turn).open()


class _Answers:
    """The streams of the agents as one. Each one's usage is recorded when it ends."""

    def __init__(self, turn: ChatTurn) -> None:
        self._turn = turn
        self._left = list(turn.shared)
        self._reasons: list[str] = []

    async def open(self) -> ChatStreamHandle:
        before = ""
        failure: EdgeNeuroError | None = None
        while self._left:
            shared = self._left.pop(0)
            answering = _turn_of(self._turn, shared)
            try:
                stream = await _stream(answering)
            except (UpstreamError, NoAgentFitsError) as error:
                failure = _graver(failure, error)
                before += _failed(shared, error) + _BETWEEN
                continue
            deltas = self._deltas(before + _heading(shared), answering, stream)
            # A generator that has not started would close nothing.
            first = await anext(deltas)
            return ChatStreamHandle(
                stream.model,
                first,
                deltas,
                stream.trace,
                handoff=stream.handoff,
                usage_recorded=True,
            )
        assert failure is not None, "there are several agents"
        raise failure

    async def _deltas(
        self, heading: str, answering: ChatTurn, stream: ChatStreamHandle
    ) -> AsyncGenerator[Delta, None]:
        async with aclosing(self._answer(heading, answering, stream)) as parts:
            async for part in parts:
                yield part
        while self._left:
            shared = self._left.pop(0)
            answering = _turn_of(self._turn, shared)
            try:
                stream = await _stream(answering)
            except (UpstreamError, NoAgentFitsError) as error:
                yield Delta(content=_BETWEEN + _failed(shared, error))
                continue
            finally:
                answering.chain.upstream_ms = 0.0  # whoever waits for this part counts the time
            heading = _BETWEEN + _heading(shared)
            async with aclosing(self._answer(heading, answering, stream)) as parts:
                async for part in parts:
                    yield part
        yield Delta(finish_reason=_finish_reason(self._reasons))

    async def _answer(
        self, heading: str, answering: ChatTurn, stream: ChatStreamHandle
    ) -> AsyncGenerator[Delta, None]:
        """One agent's answer, as far as it comes."""
        usage: Usage | None = None
        reason = "stop"
        try:
            yield Delta(content=heading)
            delta: Delta | None = stream.first
            while delta is not None:
                usage, reason = delta.usage or usage, delta.finish_reason or reason
                answering.note_state(stream.model, delta.agent_state)
                if delta.content:
                    yield Delta(content=delta.content)
                delta = await anext(stream.deltas, None)
            answering.chain.finish()
        except UpstreamError as error:
            answering.chain.cut(error)
            yield Delta(content=f"{_BETWEEN}{_ended(error)}")
        finally:
            if not stream.usage_recorded:
                trace = stream.trace or GatewayTrace()
                answering.chain.record_usage(stream.model, usage, trace)
            self._reasons.append(reason)
            await stream.deltas.aclose()


def _turn_of(turn: ChatTurn, shared: SharedAgent) -> ChatTurn:
    """The turn of one of the agents, with time of its own. It gets its part of the message, if that
    is known. What it uses counts for the whole turn."""
    agent, config = turn.config.agents[shared.id], turn.config
    request = turn.request if shared.part is None else turn.request.with_text(shared.part)
    chain = turn.services.new_chain(config, purpose="chat", budget_ms=config.chat_timeout_ms)
    models = models_of_agent(config, agent, fallback=turn.request.edgeneuro.fallback)
    answering = replace(
        turn, request=request, agent=agent, models=models, chain=chain, answers=[], shared=()
    )
    turn.answers.append(answering)
    return answering


async def _whole(turn: ChatTurn) -> ChatResult:
    if turn.hands_off is not None:
        return hand_off(turn, turn.hands_off)
    answered = await answer_whole(turn)
    if isinstance(answered, HandedBack):
        raise _handed_back(answered)
    return answered


async def _stream(turn: ChatTurn) -> ChatStreamHandle:
    if turn.hands_off is not None:
        return as_stream(hand_off(turn, turn.hands_off))
    opened = await open_stream(turn)
    if isinstance(opened, HandedBack):
        raise _handed_back(opened)
    return opened


def _graver(one: EdgeNeuroError | None, other: EdgeNeuroError) -> EdgeNeuroError:
    """The first failure; one of an upstream before a hand-back, because it may pass."""
    if one is None or (isinstance(other, UpstreamError) and not isinstance(one, UpstreamError)):
        return other
    return one


def _handed_back(answered: HandedBack) -> NoAgentFitsError:
    """The other agents answer: no further agent is asked for this part."""
    return NoAgentFitsError(
        f"The agent of {answered.model.id!r} says that this message is not for it, and no other one"
        " has answered."
    )


def _heading(shared: SharedAgent) -> str:
    return f"**{shared.name}**{_BETWEEN}"


def _failed(shared: SharedAgent, error: EdgeNeuroError) -> str:
    return _heading(shared) + _ended(error)


def _ended(error: EdgeNeuroError) -> str:
    if not isinstance(error, UpstreamError):
        return "(No answer: not for this agent.)"
    return f"(No answer: {error.reason.replace('_', ' ')}.)"


def _finish_reason(reasons: list[str]) -> str:
    """As a whole it is complete only if every answer is."""
    return next((reason for reason in reasons if reason != "stop"), "stop")


def _handoff(results: list[ChatResult]) -> Handoff | None:
    return next((each.handoff for each in results if each.handoff is not None), None)
