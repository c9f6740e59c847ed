"""What to know of a classifier before it is selected."""

from collections.abc import Iterable, Mapping

from edgeneuro.classifier.examples import Examples
from edgeneuro.classifier.model import InvalidModelError
from edgeneuro.controlplane.learning.classifier_check import score_of_selected
from edgeneuro.controlplane.learning.classifier_coverage import coverage_fell
from edgeneuro.controlplane.learning.traffic import MIN_DECISIONS
from edgeneuro.domain.classifier import Classifier, ClassifierScore, TrainingMix
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.services import Services

_MAX_DISTANCE = 0.2
_MIN_HELD_OUT = 20  # questions of an agent; with fewer its figures are chance
_FEW_GROUPS = 1 / 3  # of the labels
_MAX_NAMED = 5


def label_warnings(
    job: Classifier,
    examples: Examples,
    mix: TrainingMix,
    held_out: Mapping[int, tuple[int, int]],
    suspects: int,
) -> list[str]:
    """What the labels themselves say; empty where there is nothing to say."""
    found = [_mix_warning(mix)]
    place = {agent: number for number, agent in enumerate(examples.classes)}
    few = {
        agent: held_out.get(place[agent], (0, 0))[0] if agent in place else 0
        for agent in job.agents
    }
    named = [f"{agent} ({count})" for agent, count in few.items() if count < _MIN_HELD_OUT]
    if named:
        found.append(
            f"Too few labels were held out to measure some agents: {_some(named)};"
            f" {_MIN_HELD_OUT} are the least."
        )
    return [
        text for text in (*found, variants_warning(examples), suspects_warning(suspects)) if text
    ]


def _mix_warning(mix: TrainingMix) -> str | None:
    if mix.distance is not None:
        if mix.distance <= _MAX_DISTANCE:
            return None
        apart = sorted(mix.agents, key=lambda each: -abs(each.labels - (each.traffic or 0.0)))
        named = [
            f"{each.agent_id} has {each.labels:.0%} and {each.traffic or 0.0:.0%}" for each in apart
        ]
        return (
            f"Labels and traffic differ (total variation distance {mix.distance:.2f}; of both"
            f" {_some(named)}). Precision and coverage are those of the traffic. Label more"
            " questions of the agents that are short of labels."
        )
    even = 1 / max(1, len(mix.agents))
    if sum(abs(each.labels - even) for each in mix.agents) / 2 <= _MAX_DISTANCE:
        return None
    most = max(mix.agents, key=lambda each: each.labels)
    return (
        f"{mix.decisions} decisions are too few to know the mix of the traffic ({MIN_DECISIONS}"
        " are needed), so precision and coverage hold only for traffic of the same mix as the"
        " labels, of"
        f" which {most.labels:.0%} are of {most.agent_id}."
    )


def variants_warning(examples: Examples) -> str | None:
    questions = len(set(examples.groups))
    if questions >= _FEW_GROUPS * len(examples):
        return None
    return (
        f"Most of the {len(examples)} labels differ from another one in a few words only: they"
        f" count as {questions} questions. Label questions that differ more."
    )


def suspects_warning(suspects: int) -> str | None:
    if not suspects:
        return None
    return (
        f"Labels that are probably wrong: {suspects}. GET /v1/labels/suspects lists them; correct"
        " or confirm them, then train again."
    )


async def coverage_warnings(
    services: Services, config: RoutingConfig, made: Classifier, score: ClassifierScore
) -> list[str]:
    """One where it answers less of the test part than the selected classifier, with the reasons."""
    try:
        found = await score_of_selected(services, config, made)
    except InvalidModelError:
        return []  # the selected one is damaged, so it answers nothing
    if found is None:
        return []
    fell = coverage_fell(score, made, *found)
    return [] if fell is None else [f"Coverage fell: {fell}."]


def _some(texts: Iterable[str]) -> str:
    every = list(texts)
    rest = len(every) - _MAX_NAMED
    return ", ".join(every[:_MAX_NAMED]) + (f" and {rest} more" if rest > 0 else "")
