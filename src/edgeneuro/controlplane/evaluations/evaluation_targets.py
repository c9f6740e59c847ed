"""What an evaluation measures: a model alone, or the pipeline. Both run the router's pipeline, with
other rankers."""

from collections.abc import Mapping, Sequence

from edgeneuro.controlplane.models.models import is_classifier
from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.decision import RouteRequest
from edgeneuro.domain.evaluation import DEFERRED, PIPELINE
from edgeneuro.domain.evaluation import Target as TargetKind
from edgeneuro.domain.model import Model
from edgeneuro.domain.outcome import NO_OTHER_OUTCOME
from edgeneuro.domain.prompt import prompt_versions
from edgeneuro.domain.proposal import Proposal
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.routing_test import RoutingTest
from edgeneuro.errors import InvalidRequestError
from edgeneuro.services import Services
from edgeneuro.store.contexts import context_from_json
from edgeneuro.store.database import Row
from edgeneuro.store.evaluation_jobs import Answered
from edgeneuro.store.evaluations import MAX_TRIES
from edgeneuro.store.labels import read_current
from edgeneuro.synapsecore.measure import UNKNOWN_AGENT, MeasuredDecision, measure
from edgeneuro.synapsecore.rankers.classifier import (
    Judgement,
    LoadedClassifierRanker,
    classifier_decision,
)
from edgeneuro.synapsecore.rankers.label import KnownLabels
from edgeneuro.synapsecore.ranking import Ranker
from edgeneuro.synapsecore.router import MODEL, RULES
from edgeneuro.synapsecore.stage_clock import StageClock
from edgeneuro.synapsecore.turn import CallerContext, Turn, build_turn


def proposal_named(config: RoutingConfig, name: str) -> Proposal:
    """What an id in an evaluation of the pipeline stands for: the configuration in force, or that
    with this model as the active one or this classifier in front."""
    if name == PIPELINE:
        return Proposal()
    if name in config.classifiers or is_classifier(config, name):
        return Proposal(classifier_id=name)
    return Proposal(model_id=name)


def prompts_of(config: RoutingConfig, model_ids: Sequence[str], kind: TargetKind) -> str:
    """The versions of what the models of an evaluation are asked: of the named ones, and in the
    pipeline of its chain too."""
    chain = config.chain if kind == PIPELINE or PIPELINE in model_ids else ()
    named = [config.models[each] for each in model_ids if each in config.models]
    return prompt_versions(model.type for model in (*chain, *named))


class Target:
    """The rankers and the configuration that are measured. With `model`, that model alone is
    called. `rules` and `label_layer` say whether rules and labels come first."""

    def __init__(
        self,
        services: Services,
        config: RoutingConfig,
        rankers: Sequence[Ranker] = (MODEL,),
        *,
        model: Model | None = None,
        rules: bool = False,
        label_layer: bool = False,
    ) -> None:
        self._services = services
        self._config = config
        self._rankers = tuple(rankers)
        classifiers = [each for each in rankers if isinstance(each, LoadedClassifierRanker)]
        self._loaded = classifiers[0].loaded if classifiers else None
        self._model = model
        self._rules = (RULES,) if rules else ()
        self._label_layer = label_layer
        self._labels = KnownLabels({})

    async def prepare(self, items: Sequence[Row], caller: CallerContext) -> None:
        """Reads the labels of all questions of a slice, before the first of them is asked."""
        if not self._label_layer:
            return
        turns = [self._turn(item, caller) for item in items]
        hashes = [turn.query_hash for turn in turns if turn is not None]
        labels: Mapping[str, str | None] = await read_current(self._services.db, hashes)
        self._labels = KnownLabels(labels)

    async def decide(self, item: Row, caller: CallerContext) -> MeasuredDecision:
        """A failure of an upstream is not raised."""
        turn = self._turn(item, caller)
        if turn is None:
            return UNKNOWN_AGENT
        labels = (self._labels,) if self._label_layer else ()
        return await measure(turn, (*self._rules, *labels, *self._rankers))

    def _turn(self, item: Row, caller: CallerContext) -> Turn | None:
        """None if an allowed agent of the item is not enabled: no caller could ask that."""
        test = routing_test(item)
        request = RouteRequest(
            query=item["query"],
            context=context_from_json(item["context"]).shown(),
            candidates=None if test is None else test.candidates,
            model=None if self._model is None else self._model.id,
            cache=False,
            fallback=self._model is None,
            # A model is measured by its best agent; the pipeline as a request would be routed.
            policy=None if self._model is None else NO_OTHER_OUTCOME,
        )
        try:
            return build_turn(
                self._services,
                request,
                self._config,
                caller,
                id=caller.request_id,
                clock=StageClock(self._services.monotonic),
                purpose="evaluation",
                loaded=self._loaded,
            )
        except InvalidRequestError:
            if self._model is not None:
                raise
            return None


async def pipeline_target(
    services: Services, config: RoutingConfig, *, label_layer: bool
) -> Target:
    """The pipeline as a request would be routed, without caches. Raises InvalidModelError if the
    classifier of the configuration cannot be used."""
    rankers: list[Ranker] = [MODEL]
    if config.classifier is not None:
        rankers.insert(0, await LoadedClassifierRanker.read(services, config.classifier))
    return Target(services, config, rankers, rules=True, label_layer=label_layer)


def routing_test(item: Row) -> RoutingTest | None:
    return None if item["test"] is None else RoutingTest.model_validate_json(item["test"])


def answered(name: str, item: Row, decided: MeasuredDecision) -> Answered:
    """`name` is the id by which the evaluation knows the target."""
    test = routing_test(item)
    if test is None:
        agent_id = decided.agent_id
        right = (agent_id or NO_AGENT) == (item["agent_id"] or NO_AGENT)
    else:
        agent_id = decided.answers
        named = decided.answers if decided.decided else None
        right = test.passes(named=named, answers=decided.answers)
    return Answered(
        model_id=name,
        query_hash=item["query_hash"],
        agent_id=agent_id,
        is_right=right and not (decided.failed or decided.asks),
        reason=decided.reason,
        failed=decided.failed,
        tries=1 if decided.retryable else MAX_TRIES,
        tokens=decided.tokens,
        cost_usd=decided.cost_usd,
        ms=decided.ms,
        named_agent=decided.named,
        confidence=decided.confidence,
        layer=decided.layer,
        raw_confidence=decided.raw_confidence,
        emulated=decided.emulated,
    )


def classified(classifier_id: str, item: Row, judged: Judgement, config: RoutingConfig) -> Answered:
    """A classifier alone: what it is not sure of, it defers."""
    answer, prediction = classifier_decision(judged, config), judged.prediction
    return Answered(
        model_id=classifier_id,
        query_hash=item["query_hash"],
        agent_id=answer,
        is_right=answer is not None and answer == item["agent_id"],
        reason=DEFERRED if answer is None else None,
        failed=False,
        tries=1,
        tokens=0,
        cost_usd=0.0,
        ms=0.0,
        named_agent=prediction.agent_id,
        confidence=prediction.probability,
        layer="classifier",
    )
