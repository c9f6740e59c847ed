"""One logged query through the pipeline of a configuration: without labels and caches of answers,
with the rankings of models that are there already, and a model only if none of them fits."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.decision import CachedRanking, RouteRequest
from edgeneuro.domain.log import LogEntry
from edgeneuro.domain.outcome import OnNoFit, PolicyOptions
from edgeneuro.domain.replay_report import Decided
from edgeneuro.domain.router_names import DEFAULT_ROUTER
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.trace import continue_trace
from edgeneuro.services import Services
from edgeneuro.store.replays import ReplayItem
from edgeneuro.synapsecore.measure import is_retryable, run_counted
from edgeneuro.synapsecore.policy import Decision
from edgeneuro.synapsecore.rankers.classifier import LoadedClassifierRanker
from edgeneuro.synapsecore.rankers.logged import KnownRankings, LoggedModelRanker
from edgeneuro.synapsecore.rankers.routing_question import DECISION_LAYER
from edgeneuro.synapsecore.ranking import ModelCallResult, Ranker, Ranking, Skip
from edgeneuro.synapsecore.router import (
    CLARIFIED,
    MODEL,
    RULES,
    RoutingResult,
    estimate_routing,
    estimate_unknown,
)
from edgeneuro.synapsecore.stage_clock import StageClock
from edgeneuro.synapsecore.turn import CallerContext, Turn, build_turn
from edgeneuro.web.auth import Credential

_CACHE_LAYER = "cache"
_CALLING_STAGES = ("shortlist", "model")
_MODEL_STAGES = ("memory_cache", "stored_cache", *_CALLING_STAGES)
_MODEL_LAYERS = ("llm", DECISION_LAYER, _CACHE_LAYER)


class Pipeline:
    """A configuration with all its routers, and their classifiers, each loaded once for a slice.
    `settings` are the names of those that the replay changes."""

    def __init__(
        self, services: Services, config: RoutingConfig, settings: Collection[str]
    ) -> None:
        self._services = services
        self._config = config
        self._settings = settings
        self._classifiers: dict[str, LoadedClassifierRanker] = {}

    async def query(self, item: ReplayItem, *, id: str) -> "ReplayedQuery | None":
        """As the caller's request to its router, with the agents among its candidates that are
        enabled; None if there are none, or the router is gone. Raises InvalidModelError if the
        router's classifier cannot be used."""
        entry, candidates = item.entry, item.entry.candidates
        config = self._config.for_router(entry.router or DEFAULT_ROUTER)
        if config is None or not config.agents:
            return None
        if candidates is not None:
            candidates = [each for each in candidates if each in config.agents]
            if not candidates:
                return None
        # The stored texts were checked when they came in.
        request = RouteRequest.model_construct(
            query=entry.query,
            context=entry.context,
            user=entry.user,
            metadata=entry.metadata,
            candidates=candidates,
            cache=False,
            on_no_fit=self._on_no_fit(item, config),
            policy=self._policy(entry),
        )
        classifier = await self._classifier(config.classifier)
        turn = build_turn(
            self._services,
            request,
            config,
            _caller(self._services, entry, id),
            id=id,
            clock=StageClock(self._services.monotonic),
            purpose="replay",
            loaded=None if classifier is None else classifier.loaded,
        )
        return ReplayedQuery(item, turn, classifier)

    # What a request asked for itself is not logged, but some outcomes show it. A setting that the
    # replay changes holds for all.

    def _on_no_fit(self, item: ReplayItem, config: RoutingConfig) -> OnNoFit | None:
        """Whether the fallback agent answers if no agent fits; None: as the setting says."""
        entry, default = item.entry, config.default_agent
        if "on_no_fit" in self._settings or entry.reason not in ("low_confidence", "out_of_scope"):
            return None
        if entry.outcome == "fallback":
            return "fallback"
        allowed = entry.candidates is None or (default and default.id in entry.candidates)
        ruled = any(stage.name == "rule" and stage.rules for stage in item.stages)
        return "none" if entry.outcome == "none" and allowed and not ruled else None

    def _policy(self, entry: LogEntry) -> PolicyOptions:
        asked = entry.outcome == "clarify" and "clarify" not in self._settings
        several = entry.outcome == "agents" and "several" not in self._settings
        return PolicyOptions(clarify=True if asked else None, several=True if several else None)

    async def _classifier(self, classifier_id: str | None) -> LoadedClassifierRanker | None:
        if classifier_id is None:
            return None
        if classifier_id not in self._classifiers:
            loaded = await LoadedClassifierRanker.read(self._services, classifier_id)
            self._classifiers[classifier_id] = loaded
        return self._classifiers[classifier_id]


def _caller(services: Services, entry: LogEntry, id: str) -> CallerContext:
    """The key of the request, for rules and cache keys; nothing is reserved or counted for it."""
    return CallerContext(
        request_id=id,
        credential=Credential(entry.key_id, frozenset()),
        background=lambda work: work.close(),
        headers={},
        trace=continue_trace(None, services.new_hex),
        facts={},
    )


class _NoModel:
    """In place of the models: notes that one is needed."""

    name = "model"
    layer = "llm"

    def __init__(self) -> None:
        self.needed = False

    async def rank(self, turn: Turn) -> Skip:
        self.needed = True
        return Skip("a model is needed")


@dataclass
class SharedModel:
    """The models, called once for what both sides of a query would ask in the same way."""

    name = "model"
    layer = "llm"
    _results: dict[str, Ranking | Skip] = field(default_factory=dict)

    async def rank(self, turn: Turn) -> Ranking | Skip:
        result = self._results.get(turn.flight_key)
        if result is None:
            result = self._results[turn.flight_key] = await MODEL.rank(turn)
            return result
        failure = None if result.call is None else result.call.failure
        return replace(result, call=ModelCallResult(failure=failure, shared=True))

    def cost_usd(self, turn: Turn) -> float | None:
        """Of the calls for this turn; None if a price is unknown."""
        result = self._results.get(turn.flight_key)
        return None if result is None or result.call is None else result.call.cost_usd


@dataclass(frozen=True, kw_only=True)
class Side:
    """What came of a query on one side. `by_model`: its decision needed a model. `cost_usd` is that
    of the calls that decided, None if it is not known. `origin` is where the model's ranking was
    found ("log", "cache"), None if it was not. `failure` is why no decision was made, and
    `retryable` says whether another attempt may make one."""

    decided: Decided
    by_model: bool
    cost_usd: float | None
    origin: str | None = None
    failure: str | None = None
    retryable: bool = False


class ReplayedQuery:
    """A logged query on its way through one pipeline."""

    def __init__(
        self, item: ReplayItem, turn: Turn, classifier: LoadedClassifierRanker | None
    ) -> None:
        self.turn = turn
        self._item = item
        self._classifier = classifier

    @cached_property
    def bound_usd(self) -> float:
        """The upper bound of calling all its models."""
        return estimate_routing(self.turn).cost_usd

    async def decide_without_model(
        self, cached: Mapping[str, CachedRanking], truth: str | None
    ) -> Side | None:
        """None if a model has to be called."""
        no_model = _NoModel()
        result = await run_counted(self.turn, self._rankers(cached, no_model))
        return None if no_model.needed else self._side(result, truth, None)

    async def decide(
        self, cached: Mapping[str, CachedRanking], model: SharedModel, truth: str | None
    ) -> tuple[Side, RoutingResult]:
        """A failure of an upstream is not raised."""
        result = await run_counted(self.turn, self._rankers(cached, model))
        return self._side(result, truth, model.cost_usd(result.turn)), result

    def _rankers(self, cached: Mapping[str, CachedRanking], model: Ranker) -> tuple[Ranker, ...]:
        classifier = self._classifier
        logged = LoggedModelRanker(self._item.entry, self._item.stages)
        before = (RULES, CLARIFIED, *(() if classifier is None else (classifier,)))
        return (*before, logged, KnownRankings(cached), model)

    def _side(self, result: RoutingResult, truth: str | None, cost_usd: float | None) -> Side:
        decision = result.decision
        asked = {stage.name: stage for stage in result.stages}
        by_model = "model" in asked or any(
            asked[name].ranking is not None
            for name in (LoggedModelRanker.name, KnownRankings.name)
            if name in asked
        )
        origin = None
        if by_model and "model" not in asked:
            from_log = asked[LoggedModelRanker.name].ranking is not None
            origin = "log" if from_log else "cache"
            cost_usd = logged_cost(self._item.entry) if from_log else None
        failure = result.call.failure
        failed = decision.ranking is None
        return Side(
            decided=_decided(decision, truth),
            by_model=by_model,
            cost_usd=cost_usd,
            origin=origin,
            failure=(failure.reason if failure else "upstream_error") if failed else None,
            retryable=is_retryable(result),
        )


def _decided(decision: Decision, truth: str | None) -> Decided:
    ranking = decision.ranking
    source = None if ranking is None else ranking.confidence_source
    return Decided(
        outcome=decision.outcome,
        agent_id=None if decision.answering is None else decision.answering.id,
        layer=_layer(decision.layer, source),
        reason=decision.reason,
        confidence=None if ranking is None else ranking.confidence,
        right=_is_right(decision.outcome, decision.agent_id, truth),
    )


def logged_side(item: ReplayItem, truth: str | None) -> Side:
    """The decision as it was logged."""
    entry = item.entry
    agent_id = None if entry.reason == "out_of_scope" else entry.agent_id
    stated = entry.stated_confidence if entry.confidence_source is not None else None
    return Side(
        decided=Decided(
            outcome=entry.outcome or "agent",
            agent_id=entry.agent_id,
            layer=_layer(entry.layer, entry.confidence_source),
            reason=entry.reason,
            confidence=stated,
            right=_is_right(entry.outcome, agent_id, truth),
        ),
        by_model=_by_model(item),
        cost_usd=logged_cost(entry),
    )


def _is_right(outcome: str | None, agent_id: str | None, truth: str | None) -> bool | None:
    """A clarifying question is no right decision, whatever the label is."""
    if truth is None:
        return None
    return outcome != "clarify" and (agent_id or NO_AGENT) == truth


def _by_model(item: ReplayItem) -> bool:
    """Whether the logged decision needed a model, or its cached ranking."""
    if not item.stages:  # an older row
        return item.entry.layer in (*_MODEL_LAYERS, "fallback")
    return any(
        each.name in _CALLING_STAGES or (each.name in _MODEL_STAGES and each.outcome != "skipped")
        for each in item.stages
    )


def logged_cost(entry: LogEntry) -> float | None:
    """What the logged call cost; None if there was none, or if the row is of a chat, whose cost is
    that of the answer too."""
    called = any(each.purpose == "route" for each in entry.attempts)
    return entry.cost_usd if called and entry.kind == "route" else None


def _layer(layer: str, confidence_source: str | None) -> str:
    """A cached ranking counts for the layer of the model that made it."""
    if layer != _CACHE_LAYER:
        return layer
    return DECISION_LAYER if confidence_source == "decision_model" else MODEL.layer


def spent_usd(results: Iterable[RoutingResult]) -> float:
    """What the calls cost: as far as that is known, and the upper bound for the rest."""
    return sum(each.call.spent_usd + estimate_unknown(each).cost_usd for each in results)
