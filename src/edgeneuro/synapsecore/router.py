"""SynapseCore: the way of a query from the request to the decision, as the list of its stages."""

from dataclasses import dataclass

from edgeneuro.domain.decision import ChosenAgent, Decision, Explanation, RouteRequest
from edgeneuro.domain.prompt import PROMPT_VERSION, build_messages
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.limits import Reservation, estimate, giving_back, reserve
from edgeneuro.services import Services
from edgeneuro.synapsecore.ask import MAX_TOKENS, Asked, ask
from edgeneuro.synapsecore.classify import classify
from edgeneuro.synapsecore.decide import decide
from edgeneuro.synapsecore.question import Question, ask_question
from edgeneuro.synapsecore.recall import recall, remember
from edgeneuro.synapsecore.record import Asker, note_decision, record
from edgeneuro.synapsecore.stages import StageClock


@dataclass(frozen=True)
class Routed:
    decision: Decision
    stages: StageClock


async def route_query(services: Services, request: RouteRequest, asker: Asker) -> Routed:
    """Raises InvalidRequestError for unknown candidates, ConflictError without agents, what
    limits.reserve raises, and where the request forbids a fallback the UpstreamError that left it
    without an answer."""
    stages = StageClock(services.monotonic)
    config = await services.routing.current()
    question = ask_question(request, config)
    reservation = await _reserve(services, question, asker, stages)
    with giving_back(services, reservation, asker.background):
        return await _answer(
            services,
            request,
            asker,
            config=config,
            question=question,
            stages=stages,
            reservation=reservation,
        )


async def _reserve(
    services: Services,
    question: Question,
    asker: Asker,
    stages: StageClock,
) -> Reservation | None:
    """What an answer may take of the asker's limits, if there are some."""
    if asker.credential.limits is None:
        return None
    messages = build_messages(question.query, question.agents)
    size = sum(len(message["content"].encode()) for message in messages)
    with stages.stage("reserve"):
        wanted = estimate(question.models, size, MAX_TOKENS)
        reservation = await reserve(services, asker.credential, wanted)
    if reservation is not None:
        asker.headers.update(reservation.headers())
    return reservation


async def _answer(
    services: Services,
    request: RouteRequest,
    asker: Asker,
    *,
    config: RoutingConfig,
    question: Question,
    stages: StageClock,
    reservation: Reservation | None,
) -> Routed:
    decision_id, created_ms = services.new_id("dec"), services.now_ms()
    asked = Asked()

    answer = None
    if request.cache:
        with stages.stage("recall"):
            answer = await recall(services, question)
    recalled = answer is not None
    if answer is None:
        with stages.stage("classify"):
            answer = await classify(services, question)
    if answer is None:
        with stages.stage("ask"):
            asked = await ask(
                services, question, config, asker, decision_id=decision_id, cache=request.cache
            )
            answer = asked.answer
            recalled = asked.shared and answer is not None
    with stages.stage("decide"):
        verdict = decide(
            question,
            answer,
            threshold=config.confidence_threshold,
            failure=asked.failure.reason if asked.failure else None,
        )

    decision = Decision(
        id=decision_id,
        created=created_ms // 1000,
        agent=ChosenAgent(
            id=verdict.agent.id, name=verdict.agent.name, endpoint=verdict.agent.endpoint
        ),
        confidence=verdict.confidence,
        layer=verdict.layer,
        reason=verdict.reason,
        alternatives=list(verdict.alternatives),
        model=answer.model if answer else None,
        adapter=answer.adapter if answer else None,
        cache="hit" if recalled else "miss" if request.cache else "bypass",
        attempts=asked.attempts,
        usage=asked.usage,
        cost_usd=asked.cost_usd,
        latency_ms=stages.total_ms(),
        gateway=asked.trace,
    )
    upstream_ms = round(asked.upstream_ms, 2)
    refused = asked.failure if answer is None and not request.fallback else None
    note_decision(asker.facts, decision, failure=refused, upstream_ms=upstream_ms)
    new_answer = remember(services, question, config, asked) if request.cache else None
    settlement = None
    if reservation is not None:
        settlement = reservation.settle(asked.usage.total_tokens, asked.spent_usd)
    written_later = record(
        services,
        request,
        decision,
        config,
        asker,
        created_ms=created_ms,
        upstream_ms=upstream_ms,
        failure=refused,
        new_answer=new_answer,
        settlement=settlement,
    )
    asker.background(written_later)
    if refused is not None:
        raise refused
    if request.explain:
        decision.explanation = _explain(question, config, stages)
    return Routed(decision, stages)


def _explain(question: Question, config: RoutingConfig, stages: StageClock) -> Explanation:
    return Explanation(
        threshold=config.confidence_threshold,
        prompt_version=PROMPT_VERSION,
        agents_revision=config.agents_revision,
        cache_key=question.cache_key,
        messages=build_messages(question.query, question.agents),
        stages_ms=stages.ms,
    )
