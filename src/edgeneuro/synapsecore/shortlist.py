"""A shorter question for a model: of many agents it is offered the best ones of the classifier,
each with the labeled queries that are nearest to the message as examples.

The classifier's ranking is there before a model is asked, so nothing is computed twice. Beside the
best ones these are offered: the agent of the turn before, the fallback agent and one that rules
prefer, agents that the classifier has no labels of, and those that its held-out questions were too
often missed for."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from heapq import nlargest

from edgeneuro.classifier.scorer import likeness, read_query
from edgeneuro.domain.agent import Agent
from edgeneuro.domain.classifier import ShortlistReport
from edgeneuro.domain.prompt import EXAMPLES_SHOWN
from edgeneuro.isolate.classifier_cache import LoadedClassifier
from edgeneuro.isolate.classifier_examples import KnownExamples
from edgeneuro.synapsecore.turn import Turn

MAX_EXAMPLES = 3  # beside an agent


def shortened(turn: Turn, loaded: LoadedClassifier, scores: Mapping[str, float]) -> Turn | None:
    """The turn with the agents that a model is offered; None if the question would not be shorter.
    `scores` are the classifier's, by agent id."""
    report = loaded.shortlist
    if report is None or report.agents is None:
        return None
    chosen = best_agents(turn, report, report.agents, scores)
    if len(chosen) == len(turn.agents):
        return None
    offered = tuple(with_examples(chosen, turn.query, _known_examples(turn, loaded)))
    if _size(offered) >= _size(turn.agents):
        return None
    # The classifier that it was made with stays that of this turn, whatever is loaded meanwhile.
    return replace(turn, offered=offered, loaded=loaded)


def best_agents(
    turn: Turn, report: ShortlistReport, count: int, scores: Mapping[str, float]
) -> list[Agent]:
    """In the order of the configuration, so that the same agents make the same question."""
    known = set(report.known)
    ranked = [agent.id for agent in turn.agents if agent.id in known]
    best = nlargest(count, ranked, key=lambda agent_id: scores.get(agent_id, 0.0))
    special = (turn.fallback_agent, turn.preferred_agent)
    always = {
        *best,
        *report.always,
        turn.previous.agent,
        *(agent.id for agent in special if agent is not None),
    }
    return [agent for agent in turn.agents if agent.id in always or agent.id not in known]


def _known_examples(turn: Turn, loaded: LoadedClassifier) -> KnownExamples:
    """None where texts may not be stored as they are."""
    if not turn.config.stores_texts:
        return {}
    return turn.services.classifier_examples.current(
        loaded.id, turn.lookup.labels_revision, turn.caller.background
    )


def with_examples(agents: Sequence[Agent], query: str, known: KnownExamples) -> list[Agent]:
    """Each with those of its labeled queries that are nearest to the message, filled up with its
    own examples."""
    sketch = read_query(query, None).sketch if known else 0
    found = []
    for agent in agents:
        nearest = nlargest(
            MAX_EXAMPLES, known.get(agent.id, ()), key=lambda each: likeness(sketch, each.sketch)
        )
        texts = dict.fromkeys([*(each.query for each in nearest), *agent.examples])
        shown = list(texts)[:MAX_EXAMPLES]
        found.append(agent.model_copy(update={"examples": shown}))
    return found


def _size(agents: Sequence[Agent]) -> int:
    """Of what a question says of them, in bytes."""
    shown = (
        (agent.id, agent.name, agent.description, *agent.examples[:EXAMPLES_SHOWN])
        for agent in agents
    )
    return sum(len("".join(texts).encode()) for texts in shown)
