"""Rules (domain/rule.py): the first stage. A rule may name the agent; others change the turn for
the later stages: which agents are allowed, which one is preferred, which model routes."""

from dataclasses import replace

from edgeneuro.domain.catalogue import find_routing_model
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.rule_matching import Message, Outcome, apply_rules
from edgeneuro.synapsecore.policy import RULE_LAYER
from edgeneuro.synapsecore.ranking import Changed, Ranking, Skip, Source
from edgeneuro.synapsecore.turn import Turn

_NO_MATCH = Skip("no rule holds for this message")


class RuleRanker:
    """The rules of the turn's configuration. A request that names a model gets that model's own
    decision, so only rules that exclude agents hold for it."""

    name = "rule"
    layer = RULE_LAYER

    async def rank(self, turn: Turn) -> Ranking | Skip | Changed:
        outcome = _outcome(turn)
        ids = tuple(rule.id for rule, _ in outcome.effective)
        note = "; ".join(outcome.notes)
        if outcome.agent_id is not None:
            return _certain(outcome.agent_id, ids, note)
        if not ids:
            return Skip(note) if note else _NO_MATCH
        none_left = _none_left(turn, outcome)
        ranking = _certain(None, ids, note) if none_left else None
        return Changed(_changed(turn, outcome), note, ids, ranking)


def after_rules(turn: Turn) -> Turn:
    """The turn as the later stages get it, if none of its rules names the agent."""
    return _changed(turn, _outcome(turn))


def model_refusal(config: RoutingConfig, name: str) -> str | None:
    """Why a rule's model cannot be called; None if it can."""
    if name in config.withheld:
        return f"the key may not use the model {name!r}"
    usable = find_routing_model(config.models, name) is not None
    return None if usable else f"the model {name!r} is not available"


def _outcome(turn: Turn) -> Outcome:
    """Made once for a turn: a reservation needs it before the stage does."""
    if turn.lookup.rules is None:
        turn.lookup.rules = _new_outcome(turn)
    return turn.lookup.rules


def _new_outcome(turn: Turn) -> Outcome:
    message = Message(
        query=turn.query,
        agents=turn.config.agents,
        key_id=turn.caller.credential.key_id,
        user=turn.context.user,
        metadata=turn.context.metadata,
    )
    return apply_rules(
        turn.config.rules,
        message,
        allowed=[agent.id for agent in turn.agents],
        model_refusal=lambda name: model_refusal(turn.config, name),
        model_named=turn.model_named,
    )


def _none_left(turn: Turn, outcome: Outcome) -> bool:
    return all(agent.id in outcome.never for agent in turn.agents)


def _changed(turn: Turn, outcome: Outcome) -> Turn:
    """The same clock and the same reads: it is the same request. If no agent is left, the stage
    itself decides that nobody answers; the agents stay, so that the question can still be shown."""
    if _none_left(turn, outcome):
        return replace(turn, fallback_agent=None)
    if outcome.never:
        turn = turn.without(outcome.never)
    if outcome.prefer is not None:
        turn = replace(turn, preferred_agent=turn.agent(outcome.prefer))
    model = None if outcome.model is None else find_routing_model(turn.config.models, outcome.model)
    if model is not None:
        # As for a request that names it: with `fallback` false it is the only one called.
        others = turn.config.chain if turn.fallback else ()
        models = (model, *(each for each in others if each.id != model.id))
        turn = replace(turn, models=models, model_named=True)
    return turn


def _certain(agent_id: str | None, rules: tuple[str, ...], note: str) -> Ranking:
    return Ranking(
        agent_id,
        {} if agent_id is None else {agent_id: 1.0},
        Source(RULE_LAYER),
        none=1.0 if agent_id is None else 0.0,
        confidence_source="rule",
        rules=rules,
        note=note,
    )
