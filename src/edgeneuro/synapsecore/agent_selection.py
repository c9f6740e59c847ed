"""Which agents a decision model is offered. One question has at most 255 options, one of which is
that no agent fits."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.conversation import NOTHING_BEFORE, PreviousTurn
from edgeneuro.domain.log import is_unspaced
from edgeneuro.domain.question import MAX_OPTIONS
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.isolate.classifier_cache import LoadedClassifier

MAX_AGENTS = MAX_OPTIONS - 1
_WORD = re.compile(r"\w+")


def select_agents(
    agents: tuple[Agent, ...],
    query: str,
    config: RoutingConfig,
    classifier: LoadedClassifier | None,
    previous: PreviousTurn = NOTHING_BEFORE,
) -> tuple[Agent, ...]:
    """All of the agents, or the best 254 in the same order: those that the classifier ranks best,
    or without one that knows all agents those that share most words with the query and the turn
    before it. Of equal ones the first are selected; the default agent and that of the turn before
    always are."""
    if len(agents) <= MAX_AGENTS:
        return agents
    scores: Mapping[str, float]
    if classifier is not None and config.suspension(classifier.agents) is None:
        scores = classifier.scorer_for(config).rank(query).probabilities
    else:
        scores = _shared_words([query, previous.user or "", previous.assistant or ""], config)
    default = config.default_agent
    always = {previous.agent, None if default is None else default.id}
    # The sort is stable, so of equal ones the first stay first.
    ranked = sorted(agents, key=lambda agent: -scores.get(agent.id, 0.0))
    ranked.sort(key=lambda agent: agent.id not in always)
    selected = {agent.id for agent in ranked[:MAX_AGENTS]}
    return tuple(agent for agent in agents if agent.id in selected)


@dataclass(frozen=True)
class _Agents:
    """The agents of one revision, compared by it alone."""

    revision: str
    agents: Sequence[Agent] = field(compare=False)


def _shared_words(texts: Sequence[str], config: RoutingConfig) -> dict[str, float]:
    """By agent id how many words of the texts are in the agent's name, description or examples."""
    index = _index(_Agents(config.agents_revision, list(config.agents.values())))
    scores = dict.fromkeys(config.agents, 0.0)
    for word in _words(texts):
        for agent_id in index.get(word, ()):
            scores[agent_id] += 1
    return scores


@lru_cache(maxsize=1)
def _index(given: _Agents) -> dict[str, list[str]]:
    """The ids of the agents that use a word, by word."""
    index: dict[str, list[str]] = {}
    for agent in given.agents:
        for word in _words([agent.name, agent.description, *agent.examples]):
            index.setdefault(word, []).append(agent.id)
    return index


def _words(texts: Iterable[str]) -> set[str]:
    """The different words; of a script without blanks between words, each two characters."""
    found: set[str] = set()
    for text in texts:
        for word in _WORD.findall(text.casefold()):
            if is_unspaced(word):
                found.update(word[at : at + 2] for at in range(max(1, len(word) - 1)))
            else:
                found.add(word)
    return found
