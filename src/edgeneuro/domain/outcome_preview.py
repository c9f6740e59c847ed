"""The preview of outcomes: what other thresholds would make of logged decisions."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from edgeneuro.domain.fields import INTEGRAL, Timestamp, after_its_beginning, hide_defaults
from edgeneuro.domain.outcome import Outcome
from edgeneuro.domain.router_names import RouterId
from edgeneuro.domain.setting import Share

MAX_ROWS = 1_000
MAX_EXAMPLES = 50


class OutcomeSettings(BaseModel):
    """The settings that are tried; what is left out or null is as it is in force."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=hide_defaults)

    confidence_threshold: Share | None = None
    clarify: bool | None = None
    clarify_margin: Share | None = None
    clarify_min_probability: Share | None = None
    clarify_threshold: Share | None = None
    several: bool | None = None
    several_threshold: Share | None = None
    several_min_probability: Share | None = None


class LoggedDecisions(BaseModel):
    """The newest `limit` routed log rows of the `router` ("default" if it is left out), of those
    from `from` (inclusive) to `to` (exclusive). At most 5,000 log rows are read."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)

    limit: Annotated[int, Field(ge=1, le=MAX_ROWS), INTEGRAL] = MAX_ROWS
    router: RouterId | None = None
    since: Annotated[Timestamp | None, Field(alias="from")] = None
    to: Timestamp | None = None

    _after_since = field_validator("to")(after_its_beginning)


class OutcomePreviewRequest(LoggedDecisions):
    __doc__ = LoggedDecisions.__doc__

    settings: OutcomeSettings = Field(default_factory=OutcomeSettings)


class OutcomeCounts(BaseModel):
    agent: int = 0
    agents: int = 0
    clarify: int = 0
    fallback: int = 0
    none: int = 0


class LabelledOutcomes(BaseModel):
    """Of the decisions whose question has a label: `right` and `wrong` by the agent that answers
    (the first of several), and `asked`, those that are a clarifying question; of these
    `asked_right` name the right agent."""

    right: int = 0
    wrong: int = 0
    asked: int = 0
    asked_right: int = 0


class OutcomeSide(BaseModel):
    """What the decisions come to with one set of settings."""

    outcomes: OutcomeCounts = OutcomeCounts()
    labelled: LabelledOutcomes = LabelledOutcomes()


class PreviewedOutcome(BaseModel):
    """`agents` are the agents that it names, by id: the one that answers, several, or those that
    are asked about."""

    outcome: Outcome
    agents: list[str]


class OutcomeExample(BaseModel):
    """`label` is the right agent, null without a label or if no agent fits (then `labelled` is
    true)."""

    log_id: str
    created_at: str
    query: str
    before: PreviewedOutcome
    after: PreviewedOutcome
    labelled: bool
    label: str | None


class OutcomePreview(BaseModel):
    """Of the `tested` decisions, `changed` are others with the settings that are tried. Both sides
    are computed from the logged probabilities: `now` with the settings in force, which may be
    others than those of the time. `unknown` decisions are left out: their agent is no longer there,
    or the classifier made them and is not sure enough with one of the thresholds, so a model would
    be called. `with_all_agents` of
    the tested have a probability for more than one agent: the others lead to no clarifying
    question. `labelled` of them have a label. `examples` are changed decisions, newest first, at
    most 50."""

    tested: int
    unknown: int
    with_all_agents: int
    labelled: int
    changed: int
    now: OutcomeSide
    after: OutcomeSide
    examples: list[OutcomeExample]
