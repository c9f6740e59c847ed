"""The classifier that was trained on the labels: it decides if it is sure. Its rankings are not
cached: it computes them faster than a cache is read.

In a conversation it says whether the message goes on with the agent of the turn before, or leaves
it for another one."""

from dataclasses import dataclass

from edgeneuro.classifier.scorer import ClassRanking, Prediction, Scorer
from edgeneuro.domain.conversation import PreviousTurn
from edgeneuro.domain.decision import ClassifierVerdict
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.isolate.classifier_cache import LoadedClassifier, read_classifier
from edgeneuro.services import Services
from edgeneuro.store.contexts import question_from_row
from edgeneuro.store.database import Row
from edgeneuro.synapsecore.ranking import Changed, Ranking, Skip, Source
from edgeneuro.synapsecore.sampling import sampled
from edgeneuro.synapsecore.shortlist import shortened
from edgeneuro.synapsecore.turn import Turn

_LAYER = "classifier"
SESSION_LAYER = "session"  # of an agent that the rule keeps
_CONTINUES = "the message continues the turn before"
_STAYS = "nothing is learned of its conversations, so the agent of the turn before stays"
_LEAVES = "the message leaves the agent of the turn before"
_UNKNOWN = "the agent of the turn before is not known"


class ClassifierRanker:
    """The classifier that is selected. A load is never waited for. A caller who names a model, or
    wants nothing cached, wants the model's own decision."""

    name = _LAYER
    layer = _LAYER

    async def rank(self, turn: Turn) -> Ranking | Skip | Changed:
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
            return _with_shortlist(turn, ranking)
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
        return cls(await read_classifier(services.db, classifier_id, services.word_vectors))

    async def rank(self, turn: Turn) -> Ranking | Skip:
        if turn.model_named:  # by a rule
            return Skip("not asked: the request has `model`")
        return _rank(self.loaded, turn)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a classifier makes of a message. `sure` says whether it may decide; `note` says what the
    turn before it changed. `kept`: its agent is that of the turn before; `by_rule`: nothing was
    learned of this agent's conversations, so the rule kept it (classifier/switch.py)."""

    ranking: ClassRanking
    sure: bool
    note: str | None = None
    kept: bool = False
    by_rule: bool = False

    @property
    def prediction(self) -> Prediction:
        return self.ranking.prediction


def judge(scorer: Scorer, query: str, previous: PreviousTurn, config: RoutingConfig) -> Judgement:
    """`config` has the agents that may be the one of the turn before, and the threshold."""
    least = config.confidence_threshold
    if not previous:
        ranking = scorer.rank(query)
        return Judgement(ranking, ranking.prediction.sure_at(least))
    agent = previous.agent
    if agent is None and previous.user is not None:
        agent = scorer.agent_of(previous.user, least)
    if agent is None or agent not in config.agents:
        ranking = scorer.rank(query)
        sure = ranking.prediction.sure_at(least) and scorer.says_enough(query)
        return Judgement(ranking, sure, _UNKNOWN)
    found = scorer.rank_turn(query, agent, previous.assistant)
    sure = found.prediction.sure_at(least)
    if found.kept:
        note = _CONTINUES if found.learned else _STAYS
        return Judgement(found, sure, note, kept=True, by_rule=not found.learned)
    return Judgement(found, sure, _LEAVES)


def _rank(loaded: LoadedClassifier, turn: Turn) -> Ranking | Skip:
    suspension = turn.config.suspension(loaded.agents)
    if suspension is not None:
        return Skip(f"suspended: {suspension}")
    judged = judge(loaded.scorer_for(turn.config), turn.query, turn.previous, turn.config)
    found, own = judged.ranking, judged.prediction.threshold
    return Ranking(
        judged.prediction.agent_id,
        found.probabilities,
        Source(SESSION_LAYER if judged.by_rule else _LAYER, loaded.id, version=loaded.version),
        none=found.none,
        confidence_source="classifier",
        calibrated=not judged.by_rule,
        sure=judged.sure,
        threshold=None if own is None else max(own, turn.config.confidence_threshold),
        follow_up=judged.kept,
        note=judged.note or _about_agents(judged, loaded),
    )


def _with_shortlist(turn: Turn, ranking: Ranking) -> Ranking | Changed:
    """For a model that is asked next the turn has fewer agents. In a sample of them it has all, so
    that it is seen whether the right one is among the fewer, and what is learned from models'
    decisions does not depend on the classifier's view alone."""
    loaded = turn.shortlisted_by
    if loaded is None or (ranking.sure and turn.agent(ranking.best) is not None):
        return ranking
    if sampled(turn.id, turn.config.audit_sample_share):
        return ranking
    shorter = shortened(turn, loaded, ranking.probabilities)
    return ranking if shorter is None else Changed(shorter, "fewer agents are offered", (), ranking)


def _about_agents(judged: Judgement, loaded: LoadedClassifier) -> str | None:
    """What it was not sure of because the agents have changed since its training."""
    prediction = judged.prediction
    if judged.sure:
        return None
    if prediction.gone_id is not None:
        return f"agent {prediction.gone_id!r}, which is not enabled, may be meant"
    for each in (prediction.agent_id, prediction.second_id):
        if each is not None and each not in loaded.agents:
            return f"agent {each!r}, which is new to it, may be meant"
    return None


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
    if source.layer not in (_LAYER, SESSION_LAYER) or ranking.best is None or score is None:
        return None
    return ClassifierVerdict(
        id=source.model or "",
        version=source.version or "",
        agent_id=ranking.best,
        score=score,
        threshold=ranking.threshold,
        sure=ranking.sure,
    )


def classifier_decision(judged: Judgement, config: RoutingConfig) -> str | None:
    """The agent that the classifier decides on; None if it leaves the decision to the model."""
    agent = judged.prediction.agent_id
    return agent if judged.sure and agent in config.agents else None


async def read_scorer(services: Services, classifier_id: str, config: RoutingConfig) -> Scorer:
    """A stored classifier, among the enabled agents of this configuration. Raises
    InvalidModelError."""
    read = await read_classifier(services.db, classifier_id, services.word_vectors)
    return read.scorer_for(config)


def judge_stored(scorer: Scorer, row: Row, config: RoutingConfig) -> Judgement:
    """Of a stored question, with the columns `query` and `context`, as a turn would be judged."""
    question = question_from_row(row)
    return judge(scorer, question.query, question.previous.of_agents(config.agents), config)
