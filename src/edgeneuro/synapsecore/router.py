"""The router: the pipeline of stages, and the way of a turn through it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from edgeneuro.access.limits import Estimate, estimate
from edgeneuro.domain.decision import CacheState, ClassifierVerdict, Explanation, StageRecord
from edgeneuro.domain.model import Model
from edgeneuro.domain.prompt import (
    DECISION_PROMPT_VERSION,
    PROMPT_VERSION,
    build_messages,
    prompt_version,
    states_confidence,
)
from edgeneuro.errors import UpstreamError
from edgeneuro.synapsecore import policy
from edgeneuro.synapsecore.calibrate import calibrate
from edgeneuro.synapsecore.policy import Decision
from edgeneuro.synapsecore.rankers.cache import MemoryCacheRanker, StoredCacheRanker
from edgeneuro.synapsecore.rankers.clarified import ClarifiedRanker, asks
from edgeneuro.synapsecore.rankers.classifier import ClassifierRanker, verdict_of
from edgeneuro.synapsecore.rankers.embedding import MAX_CHARACTERS, EmbeddingRanker
from edgeneuro.synapsecore.rankers.label import LabelRanker
from edgeneuro.synapsecore.rankers.model import MAX_TOKENS, ModelRanker
from edgeneuro.synapsecore.rankers.routing_question import DECISION_LAYER, routing_question
from edgeneuro.synapsecore.rankers.rule import RuleRanker, after_rules
from edgeneuro.synapsecore.rankers.session import SessionRanker
from edgeneuro.synapsecore.rankers.shortlist import ShortlistRanker
from edgeneuro.synapsecore.ranking import (
    NO_CALL,
    Changed,
    ModelCallResult,
    Ranker,
    Ranking,
    Skip,
    Stage,
)
from edgeneuro.synapsecore.turn import Turn

LABEL, MEMORY_CACHE, STORED_CACHE = LabelRanker(), MemoryCacheRanker(), StoredCacheRanker()
RULES, SESSION, CLARIFIED = RuleRanker(), SessionRanker(), ClarifiedRanker()
CLASSIFIER, EMBEDDING, MODEL = ClassifierRanker(), EmbeddingRanker(), ModelRanker()
SHORTLIST = ShortlistRanker(MODEL)

# The stages in their order: the first one whose ranking the policy accepts decides.
PIPELINE: tuple[Ranker, ...] = (
    RULES,
    SESSION,
    CLARIFIED,
    LABEL,
    MEMORY_CACHE,
    CLASSIFIER,
    STORED_CACHE,
    EMBEDDING,
    SHORTLIST,
    MODEL,
)

# Layers that decide before any cache is read.
BEFORE_CACHES = frozenset({RULES.layer, SESSION.layer, LABEL.layer})
# Those that may call a model. Not all rankers can be hashed: a replay has one of its own.
_PAID = (EMBEDDING, SHORTLIST, MODEL)
# All that a decision's `layer` can be.
LAYERS = frozenset({"fallback", "direct", DECISION_LAYER, *(each.layer for each in PIPELINE)})


@dataclass(frozen=True)
class RoutingResult:
    """A turn as the last stage had it (rules may have changed it), the stages that ran, the
    decision, and what calling models took."""

    turn: Turn
    stages: tuple[Stage, ...]
    decision: Decision
    call: ModelCallResult
    latency_ms: float

    @property
    def failure(self) -> UpstreamError | None:
        """Why there is no ranking to decide from, if a model failed."""
        return self.call.failure if self.decision.ranking is None else None

    @property
    def error(self) -> UpstreamError | None:
        """The failure, if the request does not let the fallback agent answer then."""
        return None if self.turn.fallback else self.failure

    @property
    def cache(self) -> CacheState:
        """Rules, sessions, labels and the conversation decide before any cache is read; the rule
        for follow-ups is the classifier's, and comes after one."""
        ranking = self.decision.ranking
        decided_before = ranking is not None and ranking.source.layer in BEFORE_CACHES
        if not self.turn.cache or (decided_before and ranking is not self.classifier):
            return "bypass"
        return "hit" if ranking is not None and ranking.cached else "miss"

    @cached_property
    def classifier(self) -> Ranking | None:
        """The classifier's ranking, whether it decided or not."""
        stage = self.stage(CLASSIFIER)
        return None if stage is None else stage.ranking

    @cached_property
    def classifier_verdict(self) -> ClassifierVerdict | None:
        ranking = self.classifier
        return None if ranking is None else verdict_of(ranking)

    @cached_property
    def model_ranking(self) -> Ranking | None:
        """The last ranking of a model that was called for this turn, not for another one."""
        for stage in reversed(self.stages):
            ranking = None if stage.name == EMBEDDING.name else stage.ranking
            if ranking is not None and ranking.call is not None and not ranking.call.shared:
                return ranking
        return None

    @property
    def follow_up(self) -> bool:
        """Whether the agent that was decided on is that of the turn before."""
        decided, before = self.decision.agent_id, self.turn.previous.agent
        ranking = self.decision.ranking
        if decided is None or self.decision.outcome != "agent":
            return False
        return decided == before or (ranking is not None and ranking.follow_up)

    @property
    def prompt_version(self) -> str:
        """The version of what the model was asked that the decision was made from, or else of what
        the first model is asked."""
        ranking = self.decision.ranking
        if ranking is None or ranking.source.layer not in (MODEL.layer, DECISION_LAYER, "cache"):
            return prompt_version(self.turn.models[0].type)
        of_questions = ranking.confidence_source == "decision_model"
        return DECISION_PROMPT_VERSION if of_questions else PROMPT_VERSION

    def stage_records(self) -> list[StageRecord]:
        return [stage.record() for stage in self.stages]

    def stage(self, ranker: Ranker) -> Stage | None:
        """None if an earlier stage decided, or if the ranker is not in the pipeline."""
        return next((stage for stage in self.stages if stage.name == ranker.name), None)


async def run_pipeline(turn: Turn, rankers: Sequence[Ranker] = PIPELINE) -> RoutingResult:
    """Asks the rankers in their order until the policy decides from a ranking. A failure of an
    upstream is not raised: it is in the result. Only those that may call a model wait for the rate
    limiter; raises its RateLimitedError."""
    stages: list[Stage] = []
    decided_from: Ranking | None = None
    unsure: Ranking | None = None
    call = NO_CALL
    clock = turn.clock
    for ranker in rankers:
        if not _is_needed(ranker, turn):
            continue
        if ranker in _PAID:
            await turn.caller.admitted()
        started = clock.now()
        result = await ranker.rank(turn)
        ms = clock.end(ranker.name, started)
        if isinstance(result, Changed):
            turn = result.turn
            if result.ranking is None:
                stages.append(Stage(ranker.name, ms, None, result.reason, result.rules))
                continue
            result = result.ranking
        if isinstance(result, Skip):
            stages.append(Stage(ranker.name, ms, None, result.reason))
        else:
            result = calibrate(turn.config, result)
            refusal = policy.refusal(turn, result)
            stages.append(Stage(ranker.name, ms, result, refusal))
            if refusal is None:
                decided_from = result if unsure is None else replace(result, unsure=unsure)
            elif turn.clarify and not result.sure and ranker is not SHORTLIST:
                unsure = result
        if result.call is not None:
            call = result.call if call is NO_CALL else call + result.call
        # Models that failed are not asked again with all agents.
        if decided_from is not None or (ranker is SHORTLIST and isinstance(result, Skip)):
            break
    started = clock.now()
    failure = None if call.failure is None else call.failure.reason
    decision = policy.decide(turn, decided_from, failure)
    clock.end("decide", started)
    return RoutingResult(turn, tuple(stages), decision, call, clock.total_ms())


def _is_needed(ranker: Ranker, turn: Turn) -> bool:
    """A stage with nothing to do for this turn is not there, and takes no time."""
    if ranker is RULES:
        return bool(turn.config.rules)
    if ranker is SESSION:
        return turn.waiting is not None
    if ranker is SHORTLIST:
        return turn.offered is not None
    if ranker is EMBEDDING:
        return turn.config.embedding_model is not None and turn.config.classifier is not None
    return ranker is not CLARIFIED or asks(turn)


def explain(result: RoutingResult) -> Explanation:
    turn, config = result.turn, result.turn.config
    label, classifier = result.stage(LABEL), result.stage(CLASSIFIER)
    return Explanation(
        threshold=config.confidence_threshold,
        prompt_version=prompt_version(turn.models[0].type),
        agents_revision=config.agents_revision,
        cache_key=turn.cache_key,
        **_asked(turn, turn.models[0]),
        label=label.reason if label else _not_reached(result),
        classifier=classifier.reason if classifier else _not_reached(result),
        stages=result.stage_records(),
        stages_ms=turn.clock.ms,
    )


def _asked(turn: Turn, model: Model) -> dict[str, Any]:
    """What the model gets."""
    if model.type != "decision":
        confidence = states_confidence(model.type)
        messages = build_messages(
            turn.query, turn.agents_for(model), confidence=confidence, previous=turn.previous
        )
        return {"messages": messages}
    question = routing_question(turn, model)
    return {"messages": None, "questions": question.shown(), "state": question.state}


def _not_reached(result: RoutingResult) -> str:
    name = result.stages[-1].name
    if name == LABEL.name:
        return "not asked: a label decided"
    if name == MEMORY_CACHE.name:
        return "not asked: the answer was still in this isolate's memory"
    return f"not asked: the stage {name!r} decided"


def estimate_routing(turn: Turn, models: Iterable[Model] | None = None) -> Estimate:
    """The upper bound for calling all models of the turn, those of its rules too, or only these. A
    shorter question, which is put first, costs no more than the one with all agents."""
    if models is None and turn.config.rules:
        turn = after_rules(turn)
    models = list(turn.models if models is None else models)
    bound = Estimate()
    embedding = turn.config.models.get(turn.config.embedding_model or "")
    if embedding is not None and not turn.previous:
        bound += estimate([embedding], len(turn.query[:MAX_CHARACTERS].encode()), 0)
    for model in models:
        if model.type == "decision":  # it writes nothing
            bound += estimate([model], routing_question(turn, model).size, 0)
    texts = [model for model in models if model.type != "decision"]
    if texts:
        # With the longer prompt, of a model that is asked for its confidence.
        messages = build_messages(turn.query, turn.agents, confidence=True, previous=turn.previous)
        size = sum(len(message["content"].encode()) for message in messages)
        bound += estimate(texts, size, MAX_TOKENS)
    return bound if turn.shortlisted_by is None else bound + bound


def estimate_unknown(result: RoutingResult) -> Estimate:
    """The upper bound for what models have used and did not report; each was reserved once."""
    distinct = {model.id: model for model in result.call.usage_unknown}
    return estimate_routing(result.turn, distinct.values())
