"""POST /v1/outcomes/preview: what other thresholds would make of logged decisions. The policy is
applied to the rankings that the log rows have; nothing is called and nothing is written."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from edgeneuro.call import Call
from edgeneuro.controlplane.routers import no_such_router
from edgeneuro.domain.agent import Agent
from edgeneuro.domain.conversation import PreviousTurn
from edgeneuro.domain.decision import RouteRequest
from edgeneuro.domain.outcome_preview import (
    MAX_EXAMPLES,
    LabelledOutcomes,
    LoggedDecisions,
    OutcomeCounts,
    OutcomeExample,
    OutcomePreview,
    OutcomePreviewRequest,
    OutcomeSide,
    PreviewedOutcome,
)
from edgeneuro.domain.router_names import DEFAULT_ROUTER
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.store.outcome_previews import RankedDecision, read_ranked
from edgeneuro.store.sql import unix_ms
from edgeneuro.synapsecore import policy
from edgeneuro.synapsecore.policy import Decision
from edgeneuro.synapsecore.ranking import Ranking, Source
from edgeneuro.synapsecore.stage_clock import StageClock
from edgeneuro.synapsecore.turn import CallerContext, Turn, build_turn

_PAGE = 250  # rows with their stages stay far below what an isolate can hold
_MAX_PAGES = 20  # of rows that were read, for rows that fit
_SHOWN = 300  # characters of a query


async def preview_outcomes(call: Call, body: OutcomePreviewRequest) -> OutcomePreview:
    """Try the settings of outcomes on the newest logged decisions: how many would be asked about,
    answered by several agents or by the fallback agent, and which would change. No model is
    called."""
    config = await config_of(call, body)
    if not config.agents:
        return _NOTHING
    tried = body.settings.model_dump(exclude_none=True)
    preview = _Preview(turn_of(call, config), turn_of(call, replace(config, **tried)))
    async for rows in ranked_rows(call, config, body):
        preview.add(rows)
    return preview.result()


async def config_of(call: Call, body: LoggedDecisions) -> RoutingConfig:
    """Of the router. Raises NotFoundError."""
    config = (await call.services.routing.fresh()).for_router(body.router or DEFAULT_ROUTER)
    if config is None:
        raise no_such_router(body.router or DEFAULT_ROUTER, param="router")
    return config


async def ranked_rows(
    call: Call, config: RoutingConfig, body: LoggedDecisions
) -> AsyncIterator[Sequence[RankedDecision]]:
    """Pages of the decisions, newest first."""
    left = body.limit
    before: tuple[int, int] | None = None
    for _ in range(_MAX_PAGES):
        found = await read_ranked(
            call.services.db,
            router=config.named_router,
            since_ms=None if body.since is None else unix_ms(body.since),
            to_ms=None if body.to is None else unix_ms(body.to),
            before=before,
            limit=_PAGE,
        )
        yield found.decisions[:left]
        left -= len(found.decisions)
        before = found.next
        if before is None or left <= 0:
            break


def turn_of(call: Call, config: RoutingConfig) -> Turn:
    """The turn of which each row's differs."""
    clock = StageClock(call.services.monotonic)
    request = RouteRequest(query="preview")
    caller = CallerContext.of(call)
    return build_turn(
        call.services,
        request,
        config,
        caller,
        id=call.request_id,
        clock=clock,
        purpose="evaluation",
    )


_NOTHING = OutcomePreview(
    tested=0,
    unknown=0,
    with_all_agents=0,
    labelled=0,
    changed=0,
    now=OutcomeSide(),
    after=OutcomeSide(),
    examples=[],
)


@dataclass
class _Side:
    """What one set of settings makes of the rows."""

    turn: Turn
    outcomes: OutcomeCounts = field(default_factory=OutcomeCounts)
    labelled: LabelledOutcomes = field(default_factory=LabelledOutcomes)

    def decide(self, row: RankedDecision, ranking: Ranking | None) -> Decision | None:
        """None if it is not known, or if no agent of the row is there any more."""
        if passes_on(row, ranking, self.turn.config.confidence_threshold):
            return None
        turn = turn_of_row(self.turn, row, ranking)
        return None if turn is None else policy.decide(turn, ranking)

    def count(self, row: RankedDecision, decision: Decision) -> None:
        outcomes, labelled = self.outcomes, self.labelled
        setattr(outcomes, decision.outcome, getattr(outcomes, decision.outcome) + 1)
        if not row.labelled:
            return
        if decision.clarify is not None:
            labelled.asked += 1
            options = {option.agent_id for option in decision.clarify.options}
            labelled.asked_right += row.label in options
        elif is_right(row, decision):
            labelled.right += 1
        else:
            labelled.wrong += 1

    def shown(self) -> OutcomeSide:
        return OutcomeSide(outcomes=self.outcomes, labelled=self.labelled)


class _Preview:
    def __init__(self, now: Turn, after: Turn) -> None:
        self._now, self._after = _Side(now), _Side(after)
        self._tested = self._unknown = self._full = self._labelled = self._changed = 0
        self._examples: list[OutcomeExample] = []

    def add(self, rows: Sequence[RankedDecision]) -> None:
        for row in rows:
            ranking = ranking_of(row)
            now, after = self._now.decide(row, ranking), self._after.decide(row, ranking)
            if now is None or after is None:
                self._unknown += 1
                continue
            self._tested += 1
            self._full += ranking is not None and has_others(ranking)
            self._labelled += row.labelled
            self._now.count(row, now)
            self._after.count(row, after)
            before, later = _shown(now), _shown(after)
            if before != later:
                self._changed += 1
                self._add_example(row, before, later)

    def _add_example(
        self, row: RankedDecision, before: PreviewedOutcome, after: PreviewedOutcome
    ) -> None:
        if len(self._examples) == MAX_EXAMPLES:
            return
        self._examples.append(
            OutcomeExample(
                log_id=row.id,
                created_at=row.created_at,
                query=row.query[:_SHOWN],
                before=before,
                after=after,
                labelled=row.labelled,
                label=row.label,
            )
        )

    def result(self) -> OutcomePreview:
        return OutcomePreview(
            tested=self._tested,
            unknown=self._unknown,
            with_all_agents=self._full,
            labelled=self._labelled,
            changed=self._changed,
            now=self._now.shown(),
            after=self._after.shown(),
            examples=self._examples,
        )


def passes_on(row: RankedDecision, ranking: Ranking | None, threshold: float) -> bool:
    """A classifier that is not sure passes the message to the next stage, where a model would be
    called."""
    if ranking is None or ranking.source.layer != "classifier":
        return False
    return row.classifier_score is not None and row.classifier_score < threshold


def turn_of_row(turn: Turn, row: RankedDecision, ranking: Ranking | None) -> Turn | None:
    """As far as the row knows it: a row with the outcome "none" had no fallback agent. None if no
    agent of the row is there any more, or the best one of the ranking is not."""
    agents, wanted = turn.agents, row.candidates
    if wanted is not None:
        agents = tuple(agent for agent in agents if agent.id in wanted)
    named = None if ranking is None else ranking.best
    if not agents or (named is not None and _agent(agents, named) is None):
        return None
    fallback = turn.fallback_agent
    fallback_id = None if fallback is None or row.outcome == "none" else fallback.id
    preferred = row.agent_id if row.reason == policy.PREFERRED else None
    return replace(
        turn,
        query=row.query,
        previous=PreviousTurn(row.previous_agent, None, row.previous_assistant),
        agents=agents,
        fallback_agent=_agent(agents, fallback_id),
        preferred_agent=_agent(agents, preferred),
    )


def _agent(agents: Sequence[Agent], agent_id: str | None) -> Agent | None:
    return next((agent for agent in agents if agent.id == agent_id), None)


def ranking_of(row: RankedDecision) -> Ranking | None:
    """The ranking that the row's decision was made from: its five most probable agents. None if no
    stage had one."""
    decided = next((each for each in row.stages if each.get("outcome") == "decided"), None)
    if decided is None:
        return None
    ranking = _of_stage(row, decided)
    if not ranking.partial:
        return ranking
    # The model named it without a number.
    named = row.agent_id if row.reason != "out_of_scope" else None
    return replace(ranking, best=ranking.best or named, unsure=_unsure(row))


def has_others(ranking: Ranking) -> bool:
    return len(ranking.probabilities) > 1 or ranking.unsure is not None


def _unsure(row: RankedDecision) -> Ranking | None:
    stages = (each for each in row.stages if str(each.get("reason")).startswith(policy.NOT_SURE))
    found = next(stages, None)
    return None if found is None else _of_stage(row, found)


def _of_stage(row: RankedDecision, stage: dict[str, Any]) -> Ranking:
    scores: list[dict[str, Any]] = stage["scores"]
    probabilities = {each["agent_id"]: float(each["probability"]) for each in scores}
    none = stage.get("none_probability")
    best = max(probabilities, key=probabilities.__getitem__) if probabilities else None
    if none is not None and (best is None or none > probabilities[best]):
        best = None
    return Ranking(
        best,
        probabilities,
        Source(stage["name"] if stage["name"] == "classifier" else row.layer),
        none=none,
        confidence_source=row.confidence_source,
        partial=none is None,
        clarify_probability=stage.get("clarify_probability"),
        several_probability=stage.get("several_probability"),
    )


def is_right(row: RankedDecision, decision: Decision) -> bool:
    """As the accuracy of the analytics has it."""
    if row.label is None:
        return decision.reason in ("out_of_scope", "low_confidence")
    return decision.agent is not None and decision.agent.id == row.label


def _shown(decision: Decision) -> PreviewedOutcome:
    if decision.clarify is not None:
        agents = [option.agent_id for option in decision.clarify.options]
    elif decision.agents:
        agents = [each.id for each in decision.agents]
    else:
        agents = [] if decision.agent is None else [decision.agent.id]
    return PreviewedOutcome(outcome=decision.outcome, agents=agents)
