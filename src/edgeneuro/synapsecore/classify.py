"""Stage 2, classify: a classifier learned from the labels answers where it is sure; anything else
goes on to the model. Its answers are not kept: it has them again sooner than a cache."""

from dataclasses import dataclass

from edgeneuro.domain.decision import Answer, ClassifierVerdict, RouteRequest
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.isolate.classifier_cache import LoadedClassifier
from edgeneuro.services import Services
from edgeneuro.synapsecore.question import Question
from edgeneuro.synapsecore.record import Asker


@dataclass(frozen=True)
class Classified:
    """`verdict` is None where the classifier was not asked; `passed_on` says why it did not
    answer; `asked` names the classifier and the threshold by which it was asked."""

    answer: Answer | None = None
    verdict: ClassifierVerdict | None = None
    passed_on: str | None = None
    asked: str | None = None


NOT_REACHED = Classified(passed_on="not asked: the answer was still in this isolate's memory")
LABELLED = Classified(passed_on="not asked: a label decided")


def classifier_asked(
    loaded: LoadedClassifier | None, request: RouteRequest, config: RoutingConfig
) -> str | None:
    """Names the classifier that is asked and the threshold; None if none is."""
    if loaded is None or config.classifier is None or request.model is not None:
        return None
    if not request.cache or config.suspension(loaded.agents) is not None:
        return None
    return _asked(loaded, config)


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
    found = consult(loaded, question, config)
    if found.verdict is None:
        services.metrics.classifier_verdicts.add(1, "suspended")
    else:
        services.metrics.classifier_verdicts.add(1, "sure" if found.verdict.sure else "unsure")
    return found


def consult(loaded: LoadedClassifier, question: Question, config: RoutingConfig) -> Classified:
    """What the classifier says of a question that it may be asked. Pure."""
    suspension = config.suspension(loaded.agents)
    if suspension is not None:
        return Classified(passed_on=f"suspended: {suspension}")
    asked = _asked(loaded, config)
    verdict = _judge(loaded, question.query, config.confidence_threshold)
    if not verdict.sure:
        return Classified(None, verdict, "it is not sure", asked)
    if not any(agent.id == verdict.agent_id for agent in question.agents):
        why = f"its agent {verdict.agent_id!r} is not enabled, or not among the candidates"
        return Classified(None, verdict, why, asked)
    answer = Answer(
        agent_id=verdict.agent_id,
        confidence=verdict.score,
        confidence_source="classifier",
        layer="classifier",
        model=loaded.id,
        adapter=None,
    )
    return Classified(answer, verdict, None, asked)


def _asked(loaded: LoadedClassifier, config: RoutingConfig) -> str:
    return f"{loaded.id}:{config.confidence_threshold}"


def _judge(loaded: LoadedClassifier, query: str, confidence_threshold: float) -> ClassifierVerdict:
    """Sure is who reaches the agent's own threshold and the one that holds for every layer."""
    verdict = loaded.scorer.predict(query)
    own = verdict.threshold
    threshold = None if own is None else max(own, confidence_threshold)
    return ClassifierVerdict(
        id=loaded.id,
        version=loaded.version,
        agent_id=verdict.agent_id,
        score=verdict.probability,
        threshold=threshold,
        sure=verdict.sure_at(confidence_threshold),
    )
