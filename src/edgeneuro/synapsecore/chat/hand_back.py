"""An agent's endpoint hands the turn back ("not mine"): the next best agent gets it within the same
request, if the router chose the agent. Nothing of the refused answer is shown.

Each decision has a log row of its own, as in a reroute by the caller (synapsecore/reroute.py), with
a signal on the one that was wrong."""

from dataclasses import replace

from edgeneuro.errors import NoAgentFitsError
from edgeneuro.synapsecore.chat.answer import HandedBack
from edgeneuro.synapsecore.chat.request import MAX_HAND_BACKS
from edgeneuro.synapsecore.chat.response import ChatOutcome, cache_state, record_chat
from edgeneuro.synapsecore.chat.turn import ChatTurn, answering_models
from edgeneuro.synapsecore.chat.usage import EarlierTurn
from edgeneuro.synapsecore.misroute import NOBODY_LEFT, misroute_writes, next_decision
from edgeneuro.synapsecore.observers import observe
from edgeneuro.synapsecore.rankers.next_best import EarlierRanking
from edgeneuro.synapsecore.router import RoutingResult, run_pipeline
from edgeneuro.synapsecore.turn import Lookup


async def next_turn(turn: ChatTurn, handed_back: HandedBack) -> ChatTurn:
    """The same turn for the next best agent. The row of this one is written, its settlement comes
    with the last one. Raises NoAgentFitsError if the caller named the agent."""
    if turn.routing is None or turn.agent is None:
        raise NoAgentFitsError(
            f"The agent of {turn.request.model!r} says that this conversation is not for it. Let"
            " the router choose: model 'auto'."
        )
    next_id = turn.services.new_id("dec")
    asked = replace(
        turn.routing.turn,
        id=next_id,
        created_ms=turn.services.now_ms(),
        rerouted_from=turn.id,
        time_budget_ms=max(1, min(turn.config.time_budget_ms, turn.chain.left_ms)),
        lookup=Lookup(),
    )
    ranking = turn.routing.decision.ranking
    asked, rankers = next_decision(
        asked,
        [agent.id for agent in asked.agents if agent is not turn.agent],
        None if ranking is None else EarlierRanking.of(ranking),
    )
    if len(turn.earlier) + 1 >= MAX_HAND_BACKS:
        rankers = NOBODY_LEFT
    routing = await run_pipeline(asked, rankers)
    agent = routing.decision.answering if routing.error is None else None
    models = (
        ()
        if agent is None
        else answering_models(
            turn.services, turn.config, agent, fallback=turn.request.edgeneuro.fallback
        )
    )
    chain = turn.services.new_chain(turn.config, purpose="chat", budget_ms=turn.chain.left_ms)
    after = replace(
        turn,
        id=next_id,
        created_ms=asked.created_ms,
        chain=chain,
        routing=routing,
        writes=tuple(observe(routing)),
        agent=agent,
        models=models,
        shared=(),
        states={},
        earlier=(*turn.earlier, EarlierTurn(turn.id, turn.agent.id, handed_back.reason, turn.used)),
    )
    _record(turn, turn.routing, handed_back)
    return after


def _record(turn: ChatTurn, routing: RoutingResult, handed_back: HandedBack) -> None:
    routed = routing.turn
    writes = misroute_writes(
        routed,
        "not_mine",
        log_id=turn.id,
        agent_id=None if turn.agent is None else turn.agent.id,
        query_hash=routed.query_hash if turn.config.log_queries else None,
        reason=handed_back.reason,
    )
    turn.services.recent_answers.remove(routed.cache_key)
    outcome = ChatOutcome(
        cache=cache_state(turn, cached=False),
        latency_ms=turn.clock.total_ms(),
        model=handed_back.model,
    )
    turn.caller.record(record_chat(turn, outcome, also=writes, last=False))
