"""The question which agent should answer: which questions of a request are one, and the pipeline's
decision as an answer to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.question import Choice, ChoiceAnswer
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.synapsecore.decisions.asked import AskedQuestion, Option
from edgeneuro.synapsecore.policy import Decision
from edgeneuro.synapsecore.ranking import Ranking
from edgeneuro.synapsecore.router import RoutingResult

# An option of one of these names says that no agent fits, unless it is an agent's id.
_NONE_NAMES = frozenset({NO_AGENT, "none_of_these", "none_of_the_above", "no_agent"})
# The probability of an agent that a model names without a number: an adapter does so.
_UNKNOWN = 1.0


@dataclass(frozen=True)
class RoutingQuestion:
    """`agents` are the agents' ids among the options, None: all that the caller may use. `none` is
    the option that says that no agent fits."""

    asked: AskedQuestion
    agents: tuple[Option, ...] | None
    none: Option | None


def routing_question(asked: AskedQuestion, config: RoutingConfig) -> RoutingQuestion | None:
    """None for a question that the router does not decide."""
    if asked.is_agent_question:
        return RoutingQuestion(asked, None, None)
    if not isinstance(asked.question, Choice):
        return None
    agents = tuple(option for option in asked.options if option.value in config.agents)
    others = [option for option in asked.options if option.value not in config.agents]
    if not agents or len(others) > 1 or not all(_is_none(option) for option in others):
        return None
    return RoutingQuestion(asked, agents, others[0] if others else None)


def unknown_agents(asked: AskedQuestion, config: RoutingConfig) -> list[str]:
    """Of a question that offers some agents: the options that kept it from the router."""
    values = [each.value for each in asked.options if isinstance(each.value, str)]
    if not any(value in config.agents for value in values):
        return []
    return [str(each.value) for each in asked.options if each.value not in config.agents]


def _is_none(option: Option) -> bool:
    if not isinstance(option.value, str):
        return False
    name = "_".join(option.value.lower().replace("-", " ").replace("_", " ").split())
    return name in _NONE_NAMES


def answer_of(routing: RoutingQuestion, result: RoutingResult) -> ChoiceAnswer:
    """`choice` is the agent of the decision, or the best of the agents that a clarifying question
    names; without one the option that says so, if there is one; else the most probable option. It
    need not be the most probable one: a fallback agent, or none, is decided on because no option
    was probable enough."""
    decision = result.decision
    if routing.agents is None:
        agents, none = [agent.id for agent in result.turn.agents], NO_AGENT
    else:
        agents = [option.id for option in routing.agents]
        none = routing.none.id if routing.none else ""
    # In the order in which the options were sent.
    options = [each.id for each in routing.asked.options] or [*agents, none]
    probabilities = spread(decision.ranking, agents, none or None)
    ordered = {option: probabilities[option] for option in options}
    agent_id = chosen_agent(decision)
    if agent_id is not None and agent_id in ordered:
        return ChoiceAnswer(agent_id, ordered)
    if none:
        return ChoiceAnswer(none, ordered)
    best = None if decision.ranking is None else decision.ranking.best
    if best is None or best not in ordered:
        best = max(ordered, key=lambda option: ordered[option])
    return ChoiceAnswer(best, ordered)


def chosen_agent(decision: Decision) -> str | None:
    """Nobody can be asked here, so of close agents it is the best one."""
    if decision.clarify is not None:
        return decision.clarify.options[0].agent_id
    return None if decision.agent is None else decision.agent.id


def spread(ranking: Ranking | None, agents: Sequence[str], none: str | None) -> Mapping[str, float]:
    """A probability for every option, with the sum 1. Of a ranking that knows its best agent alone
    the rest is shared evenly by the others; without a number its best agent has 1. Without a
    ranking, and where no option has a probability, all are equal."""
    options = [*agents, *([] if none is None else [none])]
    if ranking is None:
        return _equal(options)
    if ranking.partial:
        return _of_partial(ranking, options, none)
    found = {agent: max(0.0, ranking.probabilities.get(agent, 0.0)) for agent in agents}
    if none is not None:
        found[none] = max(0.0, ranking.none or 0.0)
    total = sum(found.values())
    return {name: value / total for name, value in found.items()} if total else _equal(options)


def _of_partial(ranking: Ranking, options: Sequence[str], none: str | None) -> Mapping[str, float]:
    best = none if ranking.best is None else ranking.best
    if best is None or best not in options:
        return _equal(options)
    known = _UNKNOWN if ranking.confidence is None else ranking.confidence
    others = len(options) - 1
    if not others:
        return {best: 1.0}
    return {name: known if name == best else (1 - known) / others for name in options}


def _equal(options: Sequence[str]) -> Mapping[str, float]:
    return dict.fromkeys(options, 1 / len(options))
