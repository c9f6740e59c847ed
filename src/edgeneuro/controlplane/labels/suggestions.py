"""The agents that a label of the queue is most likely to name: those that the stages of the
question's own request found most probable, then those of the newest classifier."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgeneuro.classifier.scorer import Scorer
from edgeneuro.domain.label_queue import Suggestion
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.store.label_queue import ShownRow
from edgeneuro.synapsecore.rankers.classifier import judge

MAX_SUGGESTIONS = 3
_CLASSIFIER = "classifier"


def suggestions(row: ShownRow, scorer: Scorer | None, config: RoutingConfig) -> list[Suggestion]:
    """At most three, each agent once. A later stage was asked because an earlier one was not sure
    enough, so its agents come first. `scorer`, the newest classifier, fills the places that are
    left."""
    ranked = [*_of_stages(row.stages)]
    found = _first(ranked, config)
    if scorer is not None and len(found) < MAX_SUGGESTIONS:
        judged = judge(scorer, row.question.query, row.question.previous, config).ranking
        best = sorted(judged.probabilities.items(), key=lambda each: -each[1])[:MAX_SUGGESTIONS]
        more = [Suggestion(agent_id=name, score=score, stage=_CLASSIFIER) for name, score in best]
        found = _first([*ranked, *more], config)
    return found


def _of_stages(stages: Sequence[Mapping[str, Any]]) -> Iterable[Suggestion]:
    for stage in reversed(stages):
        of_stage = [(each["agent_id"], each["probability"]) for each in stage["scores"]]
        if of_stage and stage["none_probability"] is not None:
            of_stage.append((None, stage["none_probability"]))
        for agent_id, score in sorted(of_stage, key=lambda each: -each[1]):
            yield Suggestion(agent_id=agent_id, score=score, stage=stage["name"])


def _first(ranked: Iterable[Suggestion], config: RoutingConfig) -> list[Suggestion]:
    """Without agents that are gone or disabled: nobody can choose them."""
    best: dict[str | None, Suggestion] = {}
    for one in ranked:
        if one.agent_id is None or one.agent_id in config.agents:
            best.setdefault(one.agent_id, one)
    return [*best.values()][:MAX_SUGGESTIONS]
