"""The pipeline for an evaluation, a routing test, a replay or the challenger: with the rankers that
are to be measured, without a log row, observers or limits."""

from collections.abc import Sequence
from dataclasses import dataclass

from edgeneuro.access.limits import TEMPLATE_TOKENS
from edgeneuro.domain.model import Model
from edgeneuro.domain.prompt import build_messages, states_confidence
from edgeneuro.errors import InvalidOutputError, UpstreamRejectedError
from edgeneuro.synapsecore.decision_log import count_model_call
from edgeneuro.synapsecore.rankers.routing_question import routing_question
from edgeneuro.synapsecore.ranking import Ranker
from edgeneuro.synapsecore.router import RoutingResult, run_pipeline
from edgeneuro.synapsecore.turn import Turn

_BYTES_PER_TOKEN = 4  # of English; the bound of access/limits.py is twice as careful
_ANSWER_TOKENS = 20  # of the JSON that a text model writes


@dataclass(frozen=True)
class MeasuredDecision:
    """`agent_id` is the decision, None if no agent fits or if it `failed`; `reason` is the
    decision's or the failure's, and `retryable` says whether another attempt may succeed. `ms` is
    the time spent on models. `named` is the best agent of the ranking, with its `confidence` and
    `layer`, whatever the threshold; `raw_confidence` is that of the model itself, if a calibration
    has changed it. `answers` is the agent that would answer, the fallback agent
    too, and `decided` is true if a stage decided on it. `asks` is true if the decision is a
    clarifying question: it is no agent, and it does not say that none fits. `emulated`: an emulator
    answered a call, so its cost is a list price that nobody pays."""

    agent_id: str | None
    reason: str | None
    failed: bool
    retryable: bool
    tokens: int
    cost_usd: float | None
    ms: float
    named: str | None
    confidence: float | None
    layer: str
    answers: str | None
    decided: bool
    asks: bool = False
    raw_confidence: float | None = None
    emulated: bool = False


# The turn's allowed agents are not all enabled, so no caller could ask this.
UNKNOWN_AGENT = MeasuredDecision(
    agent_id=None,
    reason="unknown_agent",
    failed=True,
    retryable=False,
    tokens=0,
    cost_usd=0.0,
    ms=0.0,
    named=None,
    confidence=None,
    layer="fallback",
    answers=None,
    decided=False,
)


def expected_tokens(turn: Turn, model: Model) -> tuple[float, float]:
    """How many tokens the model probably reads and writes for its decision: a guess from the length
    of what it is asked, where an upper bound (`estimate_routing`) would say several times more."""
    if model.type == "decision":
        return routing_question(turn, model).size / _BYTES_PER_TOKEN + TEMPLATE_TOKENS, 0
    messages = build_messages(
        turn.query,
        turn.agents_for(model),
        confidence=states_confidence(model.type),
        previous=turn.previous,
    )
    size = sum(len(message["content"].encode()) for message in messages)
    return size / _BYTES_PER_TOKEN + TEMPLATE_TOKENS, _ANSWER_TOKENS


async def measure(turn: Turn, rankers: Sequence[Ranker]) -> MeasuredDecision:
    """A failure of an upstream is not raised."""
    return _measured(await run_counted(turn, rankers))


async def run_counted(turn: Turn, rankers: Sequence[Ranker]) -> RoutingResult:
    """The result itself; calls of models count in /metrics. A failure of an upstream is not
    raised."""
    result = await run_pipeline(turn, rankers)
    count_model_call(turn.services.metrics, result.call)
    return result


def is_retryable(result: RoutingResult) -> bool:
    """Whether there is no decision, and another attempt may have one: a model that gave an output
    gives the same one again, even if it cannot be used."""
    final = InvalidOutputError | UpstreamRejectedError
    return result.decision.ranking is None and not isinstance(result.call.failure, final)


def _measured(result: RoutingResult) -> MeasuredDecision:
    decision, call = result.decision, result.call
    ranking = decision.ranking
    failed = ranking is None
    return MeasuredDecision(
        agent_id=None if failed else decision.agent_id,
        reason=decision.reason,
        failed=failed,
        retryable=is_retryable(result),
        tokens=call.usage.total_tokens,
        cost_usd=call.cost_usd,
        ms=round(call.upstream_ms, 2),
        named=None if ranking is None else ranking.best,
        confidence=None if ranking is None else ranking.confidence,
        layer=decision.layer if ranking is None else ranking.source.layer,
        answers=None if failed or decision.answering is None else decision.answering.id,
        decided=decision.is_decided,
        asks=decision.clarify is not None,
        raw_confidence=None
        if ranking is None or ranking.uncalibrated is None
        else ranking.uncalibrated.confidence,
        emulated=any(attempt.engine for attempt in call.attempts),
    )
