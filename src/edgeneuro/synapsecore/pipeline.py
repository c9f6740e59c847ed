"""The whole router for an evaluation: labels if they are to decide, the classifier, the models with
their fallbacks, the threshold; no cache, no log row, and nobody pays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgeneuro.domain.decision import Answer, RouteRequest
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import InvalidRequestError
from edgeneuro.isolate.classifier_cache import LoadedClassifier, read_classifier
from edgeneuro.services import Services
from edgeneuro.store.labels import read_current
from edgeneuro.synapsecore.ask import Asked, ask
from edgeneuro.synapsecore.classify import consult
from edgeneuro.synapsecore.evaluate import Evaluated, evaluated
from edgeneuro.synapsecore.question import Question, ask_question
from edgeneuro.synapsecore.recall import decides_by_label
from edgeneuro.synapsecore.record import Asker, count_asking


@dataclass(frozen=True)
class Pipeline:
    """`label_layer` says whether labels decide."""

    config: RoutingConfig
    classifier: LoadedClassifier | None
    label_layer: bool


async def load_pipeline(
    services: Services, config: RoutingConfig, *, label_layer: bool
) -> Pipeline:
    """Raises InvalidModelError where the classifier of the configuration cannot be used."""
    loaded = None
    if config.classifier is not None:
        loaded = await read_classifier(services.db, config.classifier)
    return Pipeline(config, loaded, label_layer)


def question_for(
    pipeline: Pipeline, query: str, candidates: Sequence[str] | None, *, key_id: str
) -> Question | None:
    """None where an allowed agent is not enabled: nobody could ask that."""
    allowed = None if candidates is None else list(candidates)
    request = RouteRequest(query=query, candidates=allowed, cache=False)
    try:
        return ask_question(request, pipeline.config, key_id=key_id)
    except InvalidRequestError:
        return None


async def labels_for(
    services: Services, pipeline: Pipeline, questions: Sequence[Question | None]
) -> Mapping[str, str | None]:
    """The agents of the labels in force, by query hash; empty where labels do not decide."""
    if not pipeline.label_layer:
        return {}
    hashes = [each.query_hash for each in questions if each is not None]
    return await read_current(services.db, hashes)


async def route_in_pipeline(
    services: Services,
    pipeline: Pipeline,
    question: Question,
    labels: Mapping[str, str | None],
    asker: Asker,
) -> Evaluated:
    """An upstream's fault is never raised."""
    config, answer, asked = pipeline.config, _by_label(question, labels), Asked()
    if answer is None and pipeline.classifier is not None:
        answer = consult(pipeline.classifier, question, config).answer
    if answer is None:
        asked = await ask(
            services,
            question,
            config,
            asker,
            decision_id=asker.request_id,
            cache=False,
            purpose="evaluation",
        )
        count_asking(services.metrics, asked.attempts, asked.usage, asked.cost_usd)
        answer = asked.answer
    return evaluated(question, config, asked, answer)


def _by_label(question: Question, labels: Mapping[str, str | None]) -> Answer | None:
    if question.query_hash not in labels:
        return None
    return decides_by_label(question, labels[question.query_hash])
