"""POST /v1/outcomes/curve: what each value of a threshold would make of logged decisions. Like the
preview (outcome_preview.py), but of one setting at many values; nothing is called or written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from edgeneuro.call import Call
from edgeneuro.controlplane.outcome_preview import (
    config_of,
    has_others,
    is_right,
    passes_on,
    ranked_rows,
    ranking_of,
    turn_of,
    turn_of_row,
)
from edgeneuro.domain.analytics import accuracy_of
from edgeneuro.domain.outcome_curve import (
    VALUES,
    CurveSetting,
    OutcomeCurve,
    OutcomeCurveRequest,
    ThresholdPoint,
)
from edgeneuro.domain.outcome_preview import OutcomeCounts
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.store.outcome_previews import RankedDecision
from edgeneuro.synapsecore import policy
from edgeneuro.synapsecore.policy import Decision
from edgeneuro.synapsecore.ranking import Ranking
from edgeneuro.synapsecore.turn import Turn

_BY_LABEL = "label"  # the layer


async def curve_of_outcomes(call: Call, body: OutcomeCurveRequest) -> OutcomeCurve:
    """Try many values of one threshold on the newest logged decisions: how many would be decided,
    asked about, or left to the fallback agent with each, and how many of the labeled ones would be
    right. No model is called."""
    config = await config_of(call, body)
    curve = _Curve(call, config, body.setting)
    if config.agents:
        async for rows in ranked_rows(call, config, body):
            curve.add(rows)
    return curve.result()


@dataclass
class _Point:
    """What one value makes of the rows."""

    value: float
    config: RoutingConfig
    outcomes: OutcomeCounts = field(default_factory=OutcomeCounts)
    by_model: int = 0
    right: int = 0
    wrong: int = 0
    answered_right: int = 0
    answered: int = 0
    asked: int = 0
    asked_right: int = 0

    def count(self, row: RankedDecision, decision: Decision) -> None:
        outcomes = self.outcomes
        setattr(outcomes, decision.outcome, getattr(outcomes, decision.outcome) + 1)
        if not row.labelled:
            return
        if decision.clarify is not None:
            self.asked += 1
            self.asked_right += row.label in {each.agent_id for each in decision.clarify.options}
            return
        right = is_right(row, decision)
        self.right += right
        self.wrong += not right
        self.answered += decision.is_decided
        self.answered_right += decision.is_decided and right

    def shown(self) -> ThresholdPoint:
        return ThresholdPoint(
            value=self.value,
            outcomes=self.outcomes,
            by_model=self.by_model,
            accuracy=accuracy_of(self.right, self.right + self.wrong),
            precision=accuracy_of(self.answered_right, self.answered),
            asked=self.asked,
            asked_right=self.asked_right,
        )


class _Curve:
    def __init__(self, call: Call, config: RoutingConfig, setting: CurveSetting) -> None:
        self._setting = setting
        self._current: float = getattr(config, setting)
        if setting == "clarify_margin":
            config = replace(config, clarify=True)
        self._turn = turn_of(call, config) if config.agents else None
        values = sorted({*VALUES[setting], self._current})
        self._points = [_Point(value, replace(config, **{setting: value})) for value in values]
        self._tested = self._unknown = self._by_label = self._labelled = self._full = 0
        self._times: list[str] = []

    def add(self, rows: Sequence[RankedDecision]) -> None:
        assert self._turn is not None
        for row in rows:
            if row.layer == _BY_LABEL:
                self._by_label += 1
                continue
            ranking = ranking_of(row)
            turn = turn_of_row(self._turn, row, ranking)
            if turn is None:
                self._unknown += 1
                continue
            self._tested += 1
            self._labelled += row.labelled
            self._full += ranking is not None and has_others(ranking)
            self._times = [*self._times[:1], row.created_at]
            self._decide(row, ranking, turn)

    def _decide(self, row: RankedDecision, ranking: Ranking | None, turn: Turn) -> None:
        """Values that the ranking cannot tell apart come to the same decision."""
        made: dict[object, Decision] = {}
        told_apart = _told_apart(self._setting, ranking, turn)
        for point in self._points:
            if passes_on(row, ranking, point.config.confidence_threshold):
                point.by_model += 1
                continue
            key = told_apart(point.value)
            if key not in made:
                made[key] = policy.decide(replace(turn, config=point.config), ranking)
            point.count(row, made[key])

    def result(self) -> OutcomeCurve:
        return OutcomeCurve(
            setting=self._setting,
            current=self._current,
            from_time=self._times[-1] if self._times else None,
            to_time=self._times[0] if self._times else None,
            tested=self._tested,
            unknown=self._unknown,
            by_label=self._by_label,
            labelled=self._labelled,
            with_all_agents=self._full,
            points=[point.shown() for point in self._points] if self._tested else [],
        )


def _told_apart(
    setting: CurveSetting, ranking: Ranking | None, turn: Turn
) -> Callable[[float], object]:
    """What a value decides of the ranking: whether its confidence is too low, or how many agents
    are close to the best one."""
    if ranking is None:
        return lambda _: None
    confidence = ranking.confidence
    if setting == "confidence_threshold":
        return lambda value: confidence is not None and confidence < value
    known = ranking.unsure if ranking.partial else ranking
    probabilities = [
        probability
        for agent_id, probability in ({} if known is None else known.probabilities).items()
        if turn.agent(agent_id) is not None
    ]
    best = max(probabilities, default=0.0)
    return lambda value: sum(each >= best - value for each in probabilities)
