"""Curves over logged decisions: what each value of a threshold would come to."""

from typing import Literal

from pydantic import BaseModel

from edgeneuro.domain.analytics import AccuracyEstimate
from edgeneuro.domain.outcome_preview import LoggedDecisions, OutcomeCounts

CurveSetting = Literal["confidence_threshold", "clarify_margin"]
# The values that are tried, and the one in force beside them.
VALUES: dict[CurveSetting, tuple[float, ...]] = {
    "confidence_threshold": tuple(step / 20 for step in range(21)),
    "clarify_margin": tuple(step / 20 for step in range(11)),
}


class OutcomeCurveRequest(LoggedDecisions):
    """The values of `setting` that are tried on the newest `limit` routed log rows of the `router`
    ("default" if it is left out), of those from `from` (inclusive) to `to` (exclusive). At most
    5,000 log rows are read. For `clarify_margin` clarifying questions are on."""

    setting: CurveSetting


class ThresholdPoint(BaseModel):
    """With this `value` of the setting the decisions come to `outcomes`; of `by_model` a model
    would be called, so their outcome is not known: the classifier that made them would not be sure
    enough. Of those with a label, `accuracy` is that of the decisions, where a clarifying question
    does not count, and `precision` that of the decisions for an agent. Of the `asked` with a label
    `asked_right` name the right agent."""

    value: float
    outcomes: OutcomeCounts
    by_model: int = 0
    accuracy: AccuracyEstimate
    precision: AccuracyEstimate
    asked: int = 0
    asked_right: int = 0


class OutcomeCurve(BaseModel):
    """Of `tested` logged decisions, the oldest one made at `from_time` and the newest one at
    `to_time` (null: there are none). `labelled` of them have a label, and for `with_all_agents`
    more than one agent has a known probability: the others lead to no clarifying question.
    Left out are `unknown` ones, whose agent is no longer there, and those `by_label`, which a label
    made: it would make them again, and be right. `current` is the value in force, one
    of the `points`."""

    setting: CurveSetting
    current: float
    from_time: str | None
    to_time: str | None
    tested: int
    unknown: int
    by_label: int
    labelled: int
    with_all_agents: int
    points: list[ThresholdPoint]
