"""What a stage makes of a turn: a ranking of the allowed agents, or the reason why it has none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Protocol

from edgeneuro.domain.decision import (
    Attempt,
    CachedRanking,
    ConfidenceSource,
    GatewayTrace,
    Layer,
    QuestionCut,
    RankedAgent,
    StageRecord,
    Usage,
)
from edgeneuro.domain.model import Model
from edgeneuro.errors import UpstreamError
from edgeneuro.synapsecore.turn import Turn

_LOGGED_SCORES = 5
_CERTAIN: tuple[ConfidenceSource, ...] = ("label", "rule", "session")
MAX_REASON = 200  # characters of a reason in a log row


@dataclass(frozen=True, slots=True)
class ModelCallResult:
    """What calling models took, also if none of them answered. `failure` is the first model's: why
    the preferred model did not answer. `cost_usd` is None if a price is unknown, `spent_usd` is the
    known part of it, and the models of `usage_unknown` may have used tokens that they did not
    report. `shared` is true if another request made the call, so there is nothing to count here."""

    failure: UpstreamError | None = None
    attempts: Sequence[Attempt] = ()
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0
    spent_usd: float = 0.0
    usage_unknown: tuple[Model, ...] = ()
    upstream_ms: float = 0.0
    trace: GatewayTrace = field(default_factory=GatewayTrace)
    shared: bool = False

    def __add__(self, later: "ModelCallResult") -> "ModelCallResult":
        """Both calls of one turn. The trace is that of the later one, which decided. The attempts
        of decisions come first: those of an embedding model only come before them in time."""
        priced = self.cost_usd is not None and later.cost_usd is not None
        spent_usd = self.spent_usd + later.spent_usd
        attempts = (*self.attempts, *later.attempts)
        return replace(
            later,
            failure=later.failure or self.failure,
            attempts=sorted(attempts, key=lambda each: each.purpose == "embedding"),
            usage=self.usage + later.usage,
            cost_usd=spent_usd if priced else None,
            spent_usd=spent_usd,
            usage_unknown=self.usage_unknown + later.usage_unknown,
            upstream_ms=self.upstream_ms + later.upstream_ms,
        )


NO_CALL = ModelCallResult()


@dataclass(frozen=True, slots=True)
class Source:
    """Who made a ranking. `model` is the id of a base model or a classifier, `version` is a
    classifier's; `model_id` is the id of the model that was called for it, which may be another
    than `model`."""

    layer: Layer
    model: str | None = None
    adapter: str | None = None
    version: str | None = None
    model_id: str | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """`best` is the agent that the stage puts first; None: none of them fits. `probabilities` are
    those that are known, by agent id, and `none` is the probability that no agent fits. A `partial`
    ranking knows the probability of `best` alone, or not even that one: a model may give no number.
    `calibrated` says whether the probability of `best` is a measured one; if a model's calibration
    has changed it, `uncalibrated` is the ranking as the model gave it. `unsure` is the ranking of
    an earlier stage that was not sure, if the policy may need it. `cached` says whether the ranking
    was made for an earlier request. `sure` is false if the stage itself says that another one
    should decide; `threshold` is the probability that it needs (None: it never decides). `call` is
    what calling models took, None if no model was called. `rules` are the ids of the rules that it
    comes from, and `note` says what they, or the turn before the message, did. `follow_up` says
    that the message goes on with the agent of that turn. `clarify_probability`,
    `several_probability`, `follow_up_probability` and `cut` are a decision model's
    (domain/decision.py, StageRecord). `offered` are the agents that a model was offered, if these
    were not all."""

    best: str | None
    probabilities: Mapping[str, float]
    source: Source
    none: float | None = None
    confidence_source: ConfidenceSource | None = None
    partial: bool = False
    calibrated: bool = False
    cached: bool = False
    sure: bool = True
    threshold: float | None = None
    call: ModelCallResult | None = None
    clarify_probability: float | None = None
    several_probability: float | None = None
    follow_up_probability: float | None = None
    cut: QuestionCut | None = None
    uncalibrated: "Ranking | None" = None
    unsure: "Ranking | None" = None
    rules: tuple[str, ...] = ()
    note: str | None = None
    follow_up: bool = False
    offered: tuple[str, ...] = ()

    @property
    def raw(self) -> "Ranking":
        """The ranking as the stage gave it."""
        return self.uncalibrated or self

    @property
    def is_certain(self) -> bool:
        """Whether people have decided: by a label, a rule, or what they said before."""
        return self.confidence_source in _CERTAIN

    @property
    def confidence(self) -> float | None:
        """The probability of `best`; None if it is unknown."""
        return self.none if self.best is None else self.probabilities.get(self.best)

    def scores(self, count: int) -> list[RankedAgent]:
        """The most probable agents, at most `count`, the best first."""
        best = sorted(self.probabilities.items(), key=itemgetter(1), reverse=True)
        return [RankedAgent(agent_id, probability) for agent_id, probability in best[:count]]


def partial_ranking(
    agent_id: str | None,
    confidence: float | None,
    source: Source,
    confidence_source: ConfidenceSource | None,
    *,
    call: ModelCallResult | None = None,
) -> Ranking:
    """One agent and its confidence: nothing is known of the others."""
    known = {} if agent_id is None or confidence is None else {agent_id: confidence}
    return Ranking(
        agent_id,
        known,
        source,
        none=confidence if agent_id is None else None,
        confidence_source=confidence_source,
        partial=True,
        call=call,
    )


def cached_ranking(ranking: Ranking) -> CachedRanking:
    """The ranking as it is cached: without a calibration, so that the one in force is applied when
    it is read."""
    ranking = ranking.raw
    return CachedRanking(
        agent_id=ranking.best,
        confidence=ranking.confidence,
        confidence_source=ranking.confidence_source,
        layer="cache",
        model=ranking.source.model,
        adapter=ranking.source.adapter,
        probabilities=None if ranking.partial else dict(ranking.probabilities),
        none=None if ranking.partial else ranking.none,
        clarify_probability=ranking.clarify_probability,
        several_probability=ranking.several_probability,
        follow_up_probability=ranking.follow_up_probability,
    )


def ranking_from_cache(cached: CachedRanking, model_id: str) -> Ranking:
    """`model_id` is the model that the cache key is of."""
    source = Source("cache", cached.model, cached.adapter, model_id=model_id)
    found = partial_ranking(cached.agent_id, cached.confidence, source, cached.confidence_source)
    if cached.probabilities is None:
        return replace(found, cached=True)
    return replace(
        found,
        cached=True,
        partial=False,
        probabilities=cached.probabilities,
        none=cached.none,
        clarify_probability=cached.clarify_probability,
        several_probability=cached.several_probability,
        follow_up_probability=cached.follow_up_probability,
    )


@dataclass(frozen=True, slots=True)
class Skip:
    """The stage has no ranking. `call` is set if it called models and none answered."""

    reason: str
    call: ModelCallResult | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """The turn is another one from here on: with other agents or models. `reason` says what has
    changed, `rules` are the ids of the rules that did it. The stage may have a ranking of the
    changed turn too."""

    turn: Turn
    reason: str
    rules: tuple[str, ...]
    ranking: Ranking | None = None


class Ranker(Protocol):
    """A stage of the pipeline. `layer` is the layer of decisions that are made from its rankings,
    a word of lower-case letters; a ranking may name another one as its source's."""

    @property
    def name(self) -> str: ...

    @property
    def layer(self) -> Layer: ...

    async def rank(self, turn: Turn) -> Ranking | Skip | Changed: ...


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage that ran, and what it made of the turn. `reason` says why nothing was decided in it:
    there is no ranking, or the policy refused it; None if the decision is made from its ranking.
    `rules` are the ids of the rules that had an effect, without a ranking."""

    name: str
    ms: float
    ranking: Ranking | None
    reason: str | None
    rules: tuple[str, ...] = ()

    def record(self) -> StageRecord:
        """For `explain` and the log row, with the most probable agents alone."""
        ranking, reason = self.ranking, self.reason
        if ranking is None:
            skipped = StageRecord(self.name, "skipped", _short(reason), self.ms, [], None)
            return replace(skipped, rules=list(self.rules)) if self.rules else skipped
        cut = ranking.cut
        return StageRecord(
            name=self.name,
            outcome="decided" if reason is None else "ranked",
            reason=_short(_why(reason, ranking.note)),
            ms=self.ms,
            scores=[
                RankedAgent(each.agent_id, round(each.probability, 4))
                for each in ranking.scores(_LOGGED_SCORES)
            ],
            none_probability=_rounded(ranking.none),
            calibrated=ranking.calibrated,
            clarify_probability=_rounded(ranking.clarify_probability),
            several_probability=_rounded(ranking.several_probability),
            follow_up_probability=_rounded(ranking.follow_up_probability),
            agents_left_out=cut.agents if cut else None,
            agents_cut=cut.agent_characters if cut else None,
            state_cut=cut.state_characters if cut else None,
            rules=list(ranking.rules) or None,
            offered=list(ranking.offered) or None,
        )


def _why(reason: str | None, note: str | None) -> str | None:
    return f"{reason}; {note}" if reason and note else reason or note


def _rounded(probability: float | None) -> float | None:
    return None if probability is None else round(probability, 4)


def _short(reason: str | None) -> str | None:
    return None if reason is None else reason[:MAX_REASON]
