"""The report of a finished training: its agents, robustness to other spellings, and warnings."""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgeneuro.classifier.examples import OUT_OF_SCOPE, Examples
from edgeneuro.classifier.followup_training import FollowUpTraining
from edgeneuro.classifier.measured import AgentMeasure, Measured
from edgeneuro.classifier.model import InvalidModelError, Model
from edgeneuro.classifier.needs import training_needs
from edgeneuro.classifier.perturbations import PERTURBATIONS, perturb
from edgeneuro.classifier.scorer import Scorer
from edgeneuro.classifier.sources import HUMAN, MODEL
from edgeneuro.controlplane.learning.classifier_check import coverage_fell, score_of_selected
from edgeneuro.controlplane.learning.traffic import MIN_DECISIONS
from edgeneuro.domain.classifier import (
    AgentThreshold,
    Classifier,
    ClassifierScore,
    FollowUpReport,
    PerturbationScore,
    TrainingMix,
    TrainingNeeds,
)
from edgeneuro.domain.classifier_curve import CurvePoint
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.services import Services
from edgeneuro.store.contexts import question_from_row
from edgeneuro.store.datasets import test_questions
from edgeneuro.synapsecore.rankers.classifier import classifier_decision, judge

# What a classifier makes of questions that are written otherwise: with a greeting, a signature,
# "please", typos. It is measured once, at the end of the training.

# A page of them; with all perturbations 3,000 texts, a second of CPU time.
MAX_QUESTIONS = 500
PLAIN = "plain"
# Other requests get their turn after so many texts, about 50 ms.
_TEXTS_A_STEP, _PAUSE_SECONDS = 100, 0.01


async def measure_robustness(
    services: Services, config: RoutingConfig, scorer: Scorer
) -> list[PerturbationScore]:
    """The first questions of the test part by hash, as they are and written otherwise, asked as the
    router would; empty where there are none."""
    page = await test_questions(services.db, list(config.agents), "", hard=True)
    questions = [(question_from_row(row), row["agent_id"]) for row in page[:MAX_QUESTIONS]]
    scores: list[PerturbationScore] = []
    for kind in (PLAIN, *PERTURBATIONS) if questions else ():
        counts = _Counts()
        for at in range(0, len(questions), _TEXTS_A_STEP):
            for question, agent_id in questions[at : at + _TEXTS_A_STEP]:
                text = question.query if kind == PLAIN else perturb(question.query, kind)
                judged = judge(scorer, text, question.previous.of_agents(config.agents), config)
                counts.add(agent_id, classifier_decision(judged, config))
            await services.sleep(_PAUSE_SECONDS)
        scores.append(counts.score(kind))
    return scores


@dataclass
class _Counts:
    n: int = 0
    out_of_scope: int = 0
    answered: int = 0
    right: int = 0
    false_accepts: int = 0

    def add(self, label: str | None, answer: str | None) -> None:
        self.n += 1
        self.out_of_scope += label is None
        if answer is not None:
            self.answered += 1
            self.right += answer == label
            self.false_accepts += label is None

    def score(self, kind: str) -> PerturbationScore:
        inside = self.n - self.out_of_scope
        return PerturbationScore(
            perturbation=kind,
            n=self.n,
            out_of_scope=self.out_of_scope,
            answered=self.answered,
            right=self.right,
            false_accepts=self.false_accepts,
            precision=round(self.right / self.answered, 6) if self.answered else None,
            coverage=round((self.answered - self.false_accepts) / inside, 6) if inside else None,
        )


# What to know of a classifier before it is selected.

_MAX_DISTANCE = 0.2
_MIN_HELD_OUT = 20  # questions of an agent; with fewer its figures are chance
_FEW_GROUPS = 1 / 3  # of the labels
_MAX_NAMED = 5


def label_warnings(
    job: Classifier,
    examples: Examples,
    mix: TrainingMix,
    measures: Mapping[int, AgentMeasure],
    suspects: int,
) -> list[str]:
    """What the labels themselves say; empty where there is nothing to say."""
    found = [_mix_warning(mix)]
    place = {agent: number for number, agent in enumerate(examples.classes)}
    few = {agent: measures[place[agent]].held_out if agent in place else 0 for agent in job.agents}
    named = [f"{agent} ({count})" for agent, count in few.items() if count < _MIN_HELD_OUT]
    if named:
        found.append(
            f"Too few labels were held out to measure some agents: {_some(named)};"
            f" {_MIN_HELD_OUT} are the least."
        )
    return [
        text
        for text in (
            *found,
            variants_warning(examples),
            suspects_warning(suspects),
            _vectors_warning(examples),
        )
        if text
    ]


def _vectors_warning(examples: Examples) -> str | None:
    if examples.vectors.width:
        return None
    return (
        "The table of word vectors is missing or damaged, so only the words themselves were"
        " learned, which needs more labels for the same accuracy. Run the set-up, deploy again and"
        " train again."
    )


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
    groups = examples.labelled_groups()
    questions, labels = len(groups), groups.total()
    if questions >= _FEW_GROUPS * labels:
        return None
    machine = examples.sources.count(MODEL)
    what = "labels and machine labels" if machine else "labels"
    return (
        f"Most of the {labels} {what} differ from another one in a few words only: they"
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


async def curve_points(measured: Measured, sleep: Callable[[float], Awaitable[None]]) -> str:
    """The points of the curve, as JSON."""
    points = []
    for point in measured.points():
        points.append(CurvePoint.model_validate(point, from_attributes=True).model_dump())
        await sleep(_PAUSE_SECONDS)
    return json.dumps(points)


def follow_ups(model: Model, training: FollowUpTraining) -> FollowUpReport:
    """What was learned of conversations, or why nothing was."""
    learned = model.follow_ups
    report = FollowUpReport(
        learned=learned is not None,
        reason=training.reason,
        labels=training.labels,
        decisions=training.decisions,
        basis=training.basis,
    )
    if learned is None:
        return report
    metrics = learned.calibration.metrics
    figures = {"coverage": metrics["coverage"], "precision": metrics["answered_accuracy"]}
    return report.model_copy(update=learned.figures | figures)


def needs_of(job: Classifier, examples: Examples) -> TrainingNeeds:
    """What the training needed of labels, and what there was."""
    counts, place = examples.counts(), {each: n for n, each in enumerate(examples.classes)}
    return training_needs(
        {each: counts[place[each]] if each in place else 0 for each in job.agents},
        counts[OUT_OF_SCOPE],
        min_labels=job.options.min_labels,
    )


def not_precise_enough(
    needs: TrainingNeeds, refusal: str, warnings: Sequence[str]
) -> TrainingNeeds:
    """There were enough labels, but `refusal` says why nothing could be answered, and `warnings`
    what probably prevents it."""
    return needs.model_copy(
        update={
            "ready": False,
            "message": f"{refusal[0].upper()}{refusal[1:]}. `per_agent` says how often each agent"
            " was right. Label more questions of the weakest ones, correct wrong labels, or train"
            f" with a lower `target`.{''.join(f' {text}' for text in warnings)}",
        }
    )


def per_agent(
    job: Classifier, model: Model, examples: Examples, measures: Mapping[int, AgentMeasure]
) -> list[AgentThreshold]:
    """Of each agent that was enabled, how many labels and machine labels it had, from when on it is
    answered, and what was measured of it."""
    calibration, counts = model.calibration, examples.counts(HUMAN)
    of_models = examples.counts(MODEL)
    place = {agent: number for number, agent in enumerate(model.classes)}
    agents = []
    for agent in job.agents:
        at = place.get(agent)
        measure = AgentMeasure() if at is None else measures[at]
        labels = 0 if at is None else counts[at]
        machine_labels = 0 if at is None else of_models[at]
        reason = calibration.reasons.get(agent)
        missing = f"0 labels; {job.options.min_labels} are needed"
        agents.append(
            AgentThreshold(
                agent_id=agent,
                labels=labels,
                machine_labels=machine_labels,
                threshold=None if at is None else calibration.thresholds[at],
                reason=reason if labels or machine_labels or reason else missing,
                held_out=measure.held_out,
                held_out_right=measure.right,
                answered=measure.answered,
                answered_right=measure.answered_right,
                best_precision=measure.best_precision,
                best_of=measure.best_of,
            )
        )
    return agents
