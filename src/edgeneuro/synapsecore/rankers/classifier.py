"""The classifier that was trained on the labels: it decides if it is sure. Its rankings are not
cached: it computes them faster than a cache is read."""

from edgeneuro.classifier.scorer import Prediction
from edgeneuro.domain.decision import ClassifierVerdict
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.isolate.classifier_cache import LoadedClassifier, read_classifier
from edgeneuro.services import Services
from edgeneuro.synapsecore.ranking import Ranking, Skip, Source
from edgeneuro.synapsecore.turn import Turn

_LAYER = "classifier"


class ClassifierRanker:
    """The classifier that is selected. A load is never waited for. A caller who names a model, or
    wants nothing cached, wants the model's own decision."""

    name = _LAYER
    layer = _LAYER

    async def rank(self, turn: Turn) -> Ranking | Skip:
        loaded, counter = turn.classifier, turn.services.metrics.classifier_verdicts
        if turn.config.classifier is None:
            return Skip("not asked: none is selected")
        if turn.model_named or not turn.cache:
            field = "`model`" if turn.model_named else "`cache` false"
            return Skip(f"not asked: the request has {field}")
        if loaded is None:
            counter.add(1, "none")
            return Skip("not asked: it is not loaded yet")
        ranking = _rank(loaded, turn)
        if isinstance(ranking, Skip):
            counter.add(1, "suspended")
        else:
            counter.add(1, "sure" if ranking.sure else "unsure")
        return ranking


class LoadedClassifierRanker:
    """A given classifier, for an evaluation."""

    name = _LAYER
    layer = _LAYER

    def __init__(self, loaded: LoadedClassifier) -> None:
        self.loaded = loaded

    @classmethod
    async def read(cls, services: Services, classifier_id: str) -> "LoadedClassifierRanker":
        """Raises InvalidModelError if it cannot be used."""
        return cls(await read_classifier(services.db, classifier_id))

    async def rank(self, turn: Turn) -> Ranking | Skip:
        if turn.model_named:  # by a rule
            return Skip("not asked: the request has `model`")
        return _rank(self.loaded, turn)


def _rank(loaded: LoadedClassifier, turn: Turn) -> Ranking | Skip:
    suspension = turn.config.suspension(loaded.agents)
    if suspension is not None:
        return Skip(f"suspended: {suspension}")
    scored = loaded.scorer.rank(turn.query)
    prediction, least = scored.prediction, turn.config.confidence_threshold
    own = prediction.threshold
    return Ranking(
        prediction.agent_id,
        scored.probabilities,
        Source(_LAYER, loaded.id, version=loaded.version),
        none=scored.none,
        confidence_source="classifier",
        calibrated=True,
        sure=prediction.sure_at(least),
        threshold=None if own is None else max(own, least),
    )


def classifier_identity(turn: Turn) -> str | None:
    """Names the classifier that this turn is put to, and its threshold; None if it is put to
    none."""
    config, loaded = turn.config, turn.classifier
    if loaded is None or config.classifier is None or turn.model_named or not turn.cache:
        return None
    if config.suspension(loaded.agents) is not None:
        return None
    return f"{loaded.id}:{config.confidence_threshold}"


def verdict_of(ranking: Ranking) -> ClassifierVerdict | None:
    """A classifier's ranking as the API shows it; None for any other ranking."""
    source, score = ranking.source, ranking.confidence
    if source.layer != _LAYER or ranking.best is None or score is None:
        return None
    return ClassifierVerdict(
        id=source.model or "",
        version=source.version or "",
        agent_id=ranking.best,
        score=score,
        threshold=ranking.threshold,
        sure=ranking.sure,
    )


def classifier_decision(prediction: Prediction, config: RoutingConfig) -> str | None:
    """The agent that the classifier decides on; None if it leaves the decision to the model."""
    sure = prediction.sure_at(config.confidence_threshold)
    return prediction.agent_id if sure and prediction.agent_id in config.agents else None
