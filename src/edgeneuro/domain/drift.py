"""How a classifier does in use: its share of the answers, where the model differs, and whether the
questions are still those that it was learned for."""

from typing import Literal

from pydantic import BaseModel


class ClassifierShares(BaseModel):
    """Of `asked` questions the classifier answered some and passed the others on (`abstained`); of
    `requests` no agent fitted `out_of_scope`. A share of nothing is null."""

    requests: int
    asked: int
    answered: int
    abstained: int
    answered_share: float | None
    out_of_scope: int
    out_of_scope_share: float | None


class ClassifierDay(ClassifierShares):
    """A day in UTC, or the part of it that is in the range."""

    start: str


class Disagreement(BaseModel):
    """Of `compared` answers of the classifier the model gave another one to `differing`; `low` to
    `high` is the 95 % Wilson interval of the rate."""

    compared: int
    differing: int
    rate: float | None
    low: float | None
    high: float | None


Window = Literal["1h", "24h", "7d"]
DriftFigure = Literal["abstained", "out_of_scope", "agents", "disagreement"]


class AgentMix(BaseModel):
    """How the questions that fit an agent were distributed over the agents, compared with before:
    the 7 days before the window (`compared_with` "previous"), or the labels of the training
    ("training_labels") while those days have too few answers. `psi` is the population stability
    index, `z` the difference of a chi-square test from chance, in standard deviations; both null if
    there is too little to compare. `agent_id` changed most, from the share `before` to `now`."""

    compared_with: Literal["previous", "training_labels"]
    compared: int
    psi: float | None = None
    z: float | None = None
    agent_id: str | None = None
    now: float | None = None
    before: float | None = None


class DriftWindow(BaseModel):
    """The questions that reached the selected classifier, in whole hours: the present one and those
    before it, from `start` on. Of `asked` questions it deferred `abstained`, and no agent fitted
    `out_of_scope`."""

    window: Window
    start: str
    asked: int
    abstained: int
    abstained_share: float | None
    out_of_scope: int
    out_of_scope_share: float | None
    agents: AgentMix
    disagreement: Disagreement


class DriftAlert(BaseModel):
    """A figure of a window that changed significantly and by enough to matter; `text` says what to
    do."""

    window: Window
    figure: DriftFigure
    text: str


class Drift(BaseModel):
    """The selected classifier in the last hour, day and week before the end of the range, compared
    with its training; null if the shares of the training are not known."""

    classifier: str
    training_abstained_share: float | None
    training_out_of_scope_share: float | None
    windows: list[DriftWindow]
    alerts: list[DriftAlert]


class ClassifierAnalytics(ClassifierShares):
    """`days` are those of the range; `drift` is null if no classifier is selected, and `alert` is
    the text of its first alert."""

    days: list[ClassifierDay]
    disagreement: Disagreement
    drift: Drift | None
    alert: str | None
