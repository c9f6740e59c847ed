"""POST /v1/decisions/{decision_id}/reroute: an agent, or the caller for it, says "not mine", and
the next best agent gets the same turn.

The turn is read from the log row of the decision. The new decision has a log row of its own that
names the one it replaces, so that decisions form a chain; the agents that were refused in it stay
out. Each step is a signal on the decision that was replaced: weak feedback."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial

from edgeneuro.access.limits import Estimate, refund_on_failure
from edgeneuro.call import Call
from edgeneuro.domain.decision import RouteRequest, RouteResponse, deciding_stage
from edgeneuro.domain.log import LogRecord
from edgeneuro.domain.outcome import ChosenAgent
from edgeneuro.domain.reroute import MAX_REROUTES, RerouteRequest
from edgeneuro.domain.router_names import DEFAULT_ROUTER
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import ConflictError, InvalidRequestError, NotFoundError
from edgeneuro.store.agents import list_agent_ids
from edgeneuro.store.logs import get_log
from edgeneuro.store.signals import ChainLink, read_chain
from edgeneuro.store.sql import unix_ms
from edgeneuro.synapsecore.api import decision_reply, headers_of
from edgeneuro.synapsecore.decide import decide, plan_decision, reserve_for
from edgeneuro.synapsecore.misroute import misroute_writes, next_decision
from edgeneuro.synapsecore.rankers.next_best import EarlierRanking
from edgeneuro.synapsecore.router import BEFORE_CACHES, estimate_routing
from edgeneuro.synapsecore.session import OpenSession, open_session
from edgeneuro.synapsecore.stage_clock import StageClock
from edgeneuro.synapsecore.turn import CallerContext
from edgeneuro.web.auth import Access
from edgeneuro.web.response import Reply


async def reroute(call: Call, decision_id: str, body: RerouteRequest) -> Reply[RouteResponse]:
    """Say that a decision was wrong and get the next best agent for the same turn: for the key that
    the decision was made for, and for administrators. At most 3 times, one after the other. A
    decision that was rerouted already gives the same next decision again, unless `not` has its
    agent: then the chain continues from there."""
    services = call.services
    clock = StageClock(services.monotonic, call.trace.spans)
    asked = await _own_decision(call, decision_id)
    everything = await services.routing.current()
    before, after = await read_chain(services.db, asked.id, depth=MAX_REROUTES + 1)
    chain = _Chain(asked, before, after)
    known = {asked.agent_id, *(link.agent_id for link in (*before, *after))}
    await _require_agents(call, everything, body.not_, known)
    usable = {agent.id for agent in call.credential.permissions.agents_of(everything)}
    again = chain.next_decision(usable, body.not_)
    # Whose decision the others of the chain are does not matter: an administrator may have made
    # them.
    if again is not None:
        return await _repeated(call, await _decision(call, again.id), everything, body, clock)
    log = asked if chain.last == asked.id else await _decision(call, chain.last)
    _require_replaceable(log, chain.steps)
    router = log.router or DEFAULT_ROUTER
    config = call.credential.permissions.router_of(everything, router, param="decision_id")
    return await _replaced(call, log, config, {*body.not_, *chain.agents}, body, clock)


async def _own_decision(call: Call, decision_id: str) -> LogRecord:
    """What another key has decided does not exist for this caller."""
    log, caller = await _decision(call, decision_id), call.credential
    if log.key_id != caller.key_id and Access.ADMIN not in caller.scopes:
        raise _unknown_decision()
    return log


async def _decision(call: Call, decision_id: str) -> LogRecord:
    log = await get_log(call.services.db, decision_id)
    if log is None:
        raise _unknown_decision()
    return log


def _unknown_decision() -> NotFoundError:
    return NotFoundError(
        "There is no such decision of this key in the logs: its id is wrong, it was made only just"
        " now, or its time there is over.",
        code="unknown_decision",
        param="decision_id",
    )


class _Chain:
    """The decisions before and after the one that was asked for. `last` is the decision that is
    replaced: that one, or a later one of which the agent is refused too. `steps` is how many were
    replaced before it, and `agents` are those that were decided on so far."""

    def __init__(
        self, asked: LogRecord, before: Sequence[ChainLink], after: Sequence[ChainLink]
    ) -> None:
        self.last = asked.id
        self.steps = len(before)
        self._agents = [asked.agent_id, *(link.agent_id for link in before)]
        self._after = after

    @property
    def agents(self) -> set[str]:
        return {agent_id for agent_id in self._agents if agent_id is not None}

    def next_decision(self, usable: Collection[str], refused: Collection[str]) -> ChainLink | None:
        """The decision that has replaced the asked one already; None if there is none, or if the
        agents of all that have are refused, or not `usable`: not enabled any more, or not allowed
        for this caller."""
        while (link := next(self._replacements(), None)) is not None:
            agent_id = link.agent_id
            if agent_id is None or (agent_id in usable and agent_id not in refused):
                return link
            self.last = link.id
            self.steps += 1
            self._agents.append(agent_id)
        return None

    def _replacements(self) -> Iterator[ChainLink]:
        return (link for link in self._after if link.rerouted_from == self.last)


async def _require_agents(
    call: Call, config: RoutingConfig, wanted: Sequence[str], known: Collection[str | None]
) -> None:
    """A disabled agent may be named, and one of the chain that is deleted."""
    unknown = [each for each in wanted if each not in config.agents and each not in known]
    if not unknown:
        return
    stored = await list_agent_ids(call.services.db)
    for each in unknown:
        if each not in stored:
            raise InvalidRequestError(
                f"There is no agent {each!r}. GET /v1/agents lists them.",
                code="unknown_agent",
                param=f"not[{wanted.index(each)}]",
            )


def _require_replaceable(log: LogRecord, steps: int) -> None:
    if steps >= MAX_REROUTES:
        raise ConflictError(
            f"This turn was rerouted {steps} times already, which is the most. Let the fallback"
            " agent or a person answer it.",
            code="reroute_limit",
            param="decision_id",
        )
    if log.kind == "questions" or log.layer == "direct":
        raise ConflictError(
            "Nothing was routed here: the caller named who answers. Send the message to POST"
            " /v1/route.",
            code="not_routed",
            param="decision_id",
        )
    if log.agent_id is None:
        raise ConflictError(
            "No agent got this turn, so none can be replaced. Send the message again to POST"
            " /v1/route.",
            code="no_agent_decided",
            param="decision_id",
        )
    if not log.query:
        raise ConflictError(
            "The text of this decision was not stored (setting `log_queries`), so it cannot be"
            " routed again from here. Send the message again to POST /v1/route, with the other"
            " agents as `candidates`.",
            code="text_not_stored",
            param="decision_id",
        )


async def _replaced(
    call: Call,
    log: LogRecord,
    config: RoutingConfig,
    refused: set[str],
    body: RerouteRequest,
    clock: StageClock,
) -> Reply[RouteResponse]:
    services, caller = call.services, CallerContext.of(call)
    permitted = caller.credential.permissions.agents_of(config)
    allowed = [
        agent.id for agent in permitted if log.candidates is None or agent.id in log.candidates
    ]
    request = RouteRequest.model_construct(  # the row's texts were checked when they came in
        query=log.query,
        context=log.context,
        user=log.user,
        metadata=log.metadata,
        # As the request had it, so that the cache key is that of the first decision.
        candidates=None if log.candidates is None else allowed or None,
        cache=_may_cache(log),
        on_no_fit=body.on_no_fit,
    )
    turn = await plan_decision(services, request, config, caller, clock=clock)
    services.recent_answers.remove(turn.cache_key)
    session = await _session(call, log, config)
    context = replace(turn.context, session=log.session)
    turn = replace(turn, rerouted_from=log.id, session=session, context=context)
    left = [each for each in allowed if each not in refused]
    turn, rankers = next_decision(turn, left, _earlier_ranking(log, turn.config))
    also = misroute_writes(
        turn,
        "rerouted",
        log_id=log.id,
        agent_id=log.agent_id,
        query_hash=log.query_hash,
        reason=body.reason,
    )
    reservation = await reserve_for(services, caller, clock, partial(estimate_routing, turn))
    with refund_on_failure(services, reservation, caller.background):
        result = await decide(turn, reservation, rankers=rankers, also=also)
    return decision_reply(result, top_k=body.top_k)


async def _session(call: Call, log: LogRecord, config: RoutingConfig) -> OpenSession | None:
    """The caller's session, if this turn is the last one in it: then the agent that gets it now is
    remembered instead of the one that refused it. The context is that of the log row all the
    same."""
    if log.key_id != call.credential.key_id:
        return None
    session = await open_session(call.services, config, call.credential, log.session)
    last = None if session is None else session.last
    return session if last is not None and last.query_hash == log.query_hash else None


def _may_cache(log: LogRecord) -> bool:
    """As the request for the decision had it, as far as the row says: rules, labels and the session
    decide before any cache, and a chat has a cache of its own."""
    return log.kind != "route" or log.cache != "bypass" or log.layer in BEFORE_CACHES


def _earlier_ranking(log: LogRecord, config: RoutingConfig) -> EarlierRanking | None:
    """That of the decision, from its log row; None if the agents have changed since, so that a
    better one may be there now."""
    if log.agents_revision != config.agents_revision:
        return None
    stage = deciding_stage(log.stages or ())
    if stage is None:
        return None
    routed = log.kind == "route"  # a chat's row names the model that answered
    return EarlierRanking(
        {each.agent_id: each.probability for each in stage.scores},
        stage.none_probability,
        log.confidence_source,
        log.model if routed else None,
        log.adapter if routed else None,
    )


async def _repeated(
    call: Call, log: LogRecord, config: RoutingConfig, body: RerouteRequest, clock: StageClock
) -> Reply[RouteResponse]:
    """The answer that was given before, from its log row. It counts as a request, and uses
    nothing."""
    await reserve_for(call.services, CallerContext.of(call), clock, Estimate)
    agent = config.agents.get(log.agent_id or "")
    stage = deciding_stage(log.stages or ())
    assert log.outcome is not None, "it is a decision"
    response = RouteResponse(
        id=log.id,
        created=unix_ms(log.created_at) // 1000,
        outcome=log.outcome,
        agent=None if agent is None else ChosenAgent.of(agent),
        confidence=log.confidence,
        confidence_source=log.confidence_source if log.confidence is not None else None,
        calibrated=stage is not None and stage.calibrated,
        layer=log.layer,
        reason=log.reason,
        scores=[] if stage is None else stage.scores[: body.top_k],
        none_probability=None if stage is None else stage.none_probability,
        alternatives=log.alternatives,
        model=log.model,
        adapter=log.adapter,
        cache=log.cache,
        classifier=log.classifier,
        attempts=log.attempts,
        usage=log.usage,
        cost_usd=log.cost_usd,
        latency_ms=log.latency_ms,
        gateway=log.gateway,
        rerouted_from=log.rerouted_from,
    )
    return Reply(response, headers_of(response, clock))
