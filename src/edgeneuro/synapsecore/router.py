"""SynapseCore: the way of a query from the request to the decision, as the list of its stages."""

from collections.abc import Iterable

from edgeneuro.access.limits import Estimate, Reservation, estimate, refund_on_failure, reserve
from edgeneuro.domain.decision import (
    Answer,
    CacheState,
    ChosenAgent,
    Decision,
    Explanation,
    RouteRequest,
)
from edgeneuro.domain.model import Model
from edgeneuro.domain.prompt import PROMPT_VERSION, build_messages, states_confidence
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.services import Services
from edgeneuro.synapsecore.ask import MAX_TOKENS, Asked, ask
from edgeneuro.synapsecore.audit_sample import SampledDecision, audit_by_classifier, audit_by_model
from edgeneuro.synapsecore.challenger import ask_challenger
from edgeneuro.synapsecore.classify import LABELLED, NOT_REACHED, classify
from edgeneuro.synapsecore.decide import decide
from edgeneuro.synapsecore.question import Question, ask_question
from edgeneuro.synapsecore.recall import Recalled, Stored, recall, recall_stored, remember
from edgeneuro.synapsecore.record import Asker, note_decision, record
from edgeneuro.synapsecore.routed import Routed
from edgeneuro.synapsecore.stages import StageClock
from edgeneuro.web.auth import authorize_explain


async def route_query(services: Services, request: RouteRequest, asker: Asker) -> Routed:
    """Raises what web.auth and domain.permissions raise for what the caller may not use,
    InvalidRequestError for unknown candidates, ConflictError without agents, what
    limits.reserve raises, and where the request forbids a fallback the UpstreamError that left it
    without an answer."""
    stages = StageClock(services.monotonic)
    authorize_explain(asker.credential, request.explain, param="explain")
    permissions = asker.credential.permissions
    config = await services.routing.current()
    permissions.require_model(config, request.model)
    config = permissions.restrict(config)
    allowed = permissions.candidates(config, request.candidates, param="candidates")
    request = request.model_copy(update={"candidates": allowed})
    question = ask_question(request, config, key_id=asker.credential.key_id)
    reservation = await _reserve(services, question, asker, stages)
    with refund_on_failure(services, reservation, asker.background):
        decision_id, created_ms = services.new_id("dec"), services.now_ms()
        routed = await decide_route(
            services,
            request,
            asker,
            config=config,
            question=question,
            stages=stages,
            decision_id=decision_id,
            created_ms=created_ms,
        )
        note_decision(asker.facts, routed)
        settlement = None
        if reservation is not None:
            known = Estimate(routed.decision.usage.total_tokens, routed.spent_usd)
            settlement = reservation.settle(known, [estimate_unknown(routed)])
        written_later = record(
            services, request, routed, asker, created_ms=created_ms, settlement=settlement
        )
        asker.background(written_later)
        if routed.refused is not None:
            raise routed.refused
    if request.explain:
        routed.decision.explanation = explain(routed)
    return routed


async def _reserve(
    services: Services, question: Question, asker: Asker, stages: StageClock
) -> Reservation | None:
    """What an answer may take of the asker's limits, if there are some."""
    if asker.credential.limits is None:
        return None
    with stages.stage("reserve"):
        wanted = estimate_routing(question)
        reservation = await reserve(services, asker.credential, wanted)
    if reservation is not None:
        asker.headers.update(reservation.headers())
    return reservation


def estimate_routing(question: Question, models: Iterable[Model] | None = None) -> Estimate:
    """Of asking all models of the question, or only these."""
    # The longer prompt, of a model that is asked for its confidence: it is an upper bound.
    messages = build_messages(question.query, question.agents, confidence=True)
    size = sum(len(message["content"].encode()) for message in messages)
    return estimate(question.models if models is None else models, size, MAX_TOKENS)


def estimate_unknown(routed: Routed) -> Estimate:
    """Of what the models have used that did not tell it; each was reserved once."""
    distinct = {model.id: model for model in routed.usage_unknown}
    return estimate_routing(routed.question, distinct.values())


async def decide_route(
    services: Services,
    request: RouteRequest,
    asker: Asker,
    *,
    config: RoutingConfig,
    question: Question,
    stages: StageClock,
    decision_id: str,
    created_ms: int,
) -> Routed:
    """The stages alone; limits and the log row are the caller's. An upstream's fault is never
    raised."""
    asked, stored = Asked(), Stored()
    recalled = Recalled(no_label="not looked for: the request has `cache` false")
    if request.cache:
        with stages.stage("recall"):
            recalled = await recall(services, request, question, config, asker.background)
    answer = recalled.answer
    classified = LABELLED if answer is not None and answer.layer == "label" else NOT_REACHED
    if answer is None:
        with stages.stage("classify"):
            classified = classify(services, request, question, config, asker)
            answer = classified.answer
    if answer is None and request.cache:
        with stages.stage("recall_stored"):
            stored = await recall_stored(services, question, recalled, classified)
            answer = stored.answer
    if answer is None:
        with stages.stage("ask"):
            asked = await ask(
                services,
                question,
                config,
                asker,
                decision_id=decision_id,
                cache=request.cache,
                past_cache=stored.dropped,
            )
            answer = asked.answer
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
        outcome=verdict.outcome,
        agent=None if verdict.agent is None else ChosenAgent.of(verdict.agent),
        confidence=verdict.confidence,
        confidence_source=verdict.confidence_source if verdict.outcome == "agent" else None,
        layer=verdict.layer,
        reason=verdict.reason,
        alternatives=list(verdict.alternatives),
        model=answer.model if answer else None,
        adapter=answer.adapter if answer else None,
        cache=_cache_state(request, answer),
        classifier=classified.verdict,
        attempts=asked.attempts,
        usage=asked.usage,
        cost_usd=asked.cost_usd,
        latency_ms=stages.total_ms(),
        gateway=asked.trace,
    )
    ask_challenger(services, request, question, config, asker, decision, created_ms=created_ms)
    new_answer = None
    if request.cache:
        new_answer = remember(services, question, config, recalled, classified, asked)
    audit_sample = None
    if classified.verdict is not None:
        sample = SampledDecision(decision_id, created_ms, classified.verdict)
        if classified.answer is not None:
            audit_by_model(services, question, config, asker, sample)
        else:
            audit_sample = audit_by_classifier(config, asked, sample)
    return Routed(
        decision,
        question,
        config,
        stages,
        spent_usd=asked.spent_usd,
        usage_unknown=asked.usage_unknown,
        upstream_ms=round(asked.upstream_ms, 2),
        stated_confidence=verdict.stated_confidence,
        confidence_source=verdict.confidence_source,
        failure=asked.failure if answer is None else None,
        refused=asked.failure if answer is None and not request.fallback else None,
        passed_on=classified.passed_on,
        no_label=recalled.no_label,
        writes=tuple(write for write in (new_answer, audit_sample) if write is not None),
    )


def _cache_state(request: RouteRequest, answer: Answer | None) -> CacheState:
    """A label decides before any cache is looked at."""
    if not request.cache or (answer is not None and answer.layer == "label"):
        return "bypass"
    return "hit" if answer is not None and answer.layer == "cache" else "miss"


def explain(routed: Routed) -> Explanation:
    question, config = routed.question, routed.config
    return Explanation(
        threshold=config.confidence_threshold,
        prompt_version=PROMPT_VERSION,
        agents_revision=config.agents_revision,
        cache_key=question.cache_key,
        messages=build_messages(
            question.query,
            question.agents,
            confidence=states_confidence(question.models[0].type),
        ),
        label=routed.no_label,
        classifier=routed.passed_on,
        stages_ms=routed.stages.ms,
    )
