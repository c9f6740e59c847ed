"""Stage 2, classify: a classifier learned from the labels answers where it is sure; anything else
goes on to the model. Its answers are not kept: it has them again sooner than a cache."""

from dataclasses import dataclass

from edgeneuro.domain.decision import Answer, ClassifierVerdict, RouteRequest
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.kept_classifier import LoadedClassifier
from edgeneuro.services import Services
from edgeneuro.synapsecore.question import Question
from edgeneuro.synapsecore.record import Asker


@dataclass(frozen=True)
class Classified:
    """`verdict` is None where the classifier was not asked; `passed_on` says why it did not
    answer."""

    answer: Answer | None = None
    verdict: ClassifierVerdict | None = None
    passed_on: str | None = None


NOT_REACHED = Classified(passed_on="not asked: the answer was still in this isolate's memory")


def classify(
    services: Services,
    request: RouteRequest,
    question: Question,
    config: RoutingConfig,
    asker: Asker,
) -> Classified:
    """Never waits. Whoever names a model or wants nothing kept wants the model's own answer."""
    loaded = services.classifier.current(config.classifier, asker.background)
    if config.classifier is None:
        return Classified(passed_on="not asked: none is selected")
    if request.model is not None or not request.cache:
        field = "`model`" if request.model is not None else "`cache` false"
        return Classified(passed_on=f"not asked: the request has {field}")
    if loaded is None:
        services.metrics.classifier_verdicts.add(1, "none")
        return Classified(passed_on="not asked: it is not loaded yet")
    suspension = config.suspension(loaded.agents)
    if suspension is not None:
        services.metrics.classifier_verdicts.add(1, "suspended")
        return Classified(passed_on=f"suspended: {suspension}")
    verdict = _judge(loaded, question.query, config.confidence_threshold)
    services.metrics.classifier_verdicts.add(1, "sure" if verdict.sure else "unsure")
    if not verdict.sure:
        return Classified(verdict=verdict, passed_on="it is not sure")
    if not any(agent.id == verdict.agent_id for agent in question.agents):
        why = f"its agent {verdict.agent_id!r} is not enabled, or not among the candidates"
        return Classified(verdict=verdict, passed_on=why)
    answer = Answer(
        agent_id=verdict.agent_id,
        confidence=verdict.score,
        layer="classifier",
        model=loaded.id,
        adapter=None,
    )
    return Classified(answer, verdict)


def _judge(loaded: LoadedClassifier, query: str, confidence_threshold: float) -> ClassifierVerdict:
    """Sure is who reaches the agent's own threshold and the one that holds for every layer."""
    verdict = loaded.scorer.judge(query)
    own = verdict.threshold
    threshold = None if own is None else max(own, confidence_threshold)
    return ClassifierVerdict(
        id=loaded.id,
        version=loaded.version,
        agent_id=verdict.agent_id,
        score=verdict.probability,
        threshold=threshold,
        sure=threshold is not None and verdict.probability >= threshold,
    )
