"""A classifier among the agents that are enabled now, which may be others than at its training."""

from collections.abc import Container

from edgeneuro.classifier.agent_texts import agent_texts
from edgeneuro.classifier.scorer import Scorer
from edgeneuro.domain.agent import MAX_NEW_AGENTS
from edgeneuro.domain.routing import RoutingConfig


def scorer_among(scorer: Scorer, known: Container[str], config: RoutingConfig) -> Scorer:
    """The scorer, among the enabled agents of this configuration. `known` are those that were
    enabled when it was trained."""
    if not config.agents:
        return scorer
    new, agents = new_agents(scorer, known, config), config.agents.items()
    return scorer.joined(new, {each: agent_texts(agent) if new else [] for each, agent in agents})


def new_agents(scorer: Scorer, known: Container[str], config: RoutingConfig) -> list[str]:
    """The enabled agents that are no class: those that are new since the training, and then those
    that had neither a label nor a text then."""
    classes = scorer.model.classes
    found = sorted(each for each in config.agents if each not in classes)
    return sorted(found, key=known.__contains__)[:MAX_NEW_AGENTS]
