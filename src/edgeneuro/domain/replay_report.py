"""What a replay comes to: its report, and the queries that go elsewhere."""

from typing import Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from edgeneuro.domain.agent import AgentId
from edgeneuro.domain.analytics import AccuracyEstimate
from edgeneuro.domain.fields import PageQuery


class Place(BaseModel):
    """Where a query goes: `outcome` as in a decision ("agent", "fallback", "none"), and the agent
    that answers, null for nobody."""

    outcome: str
    agent_id: str | None


class Cell(BaseModel):
    """`n` queries went to `from` and would go to `to`."""

    model_config = ConfigDict(serialize_by_alias=True)

    before: Place = Field(
        serialization_alias="from", validation_alias=AliasChoices("from", "before")
    )
    after: Place = Field(serialization_alias="to", validation_alias=AliasChoices("to", "after"))
    n: int


class ChangedShare(BaseModel):
    """Of `n` queries `changed`, with the 95 % Wilson interval of the share; null of 0 queries."""

    share: float | None
    low: float | None
    high: float | None


class LabelledResult(BaseModel):
    """The queries with a label in force, near-duplicates counted once (`near_duplicates` counts the
    others): how many are right before and after. `difference` is the accuracy after minus that
    before with its 95 % interval, null without such queries; `p` is that of the exact two-sided
    sign test (McNemar's) of `only_before` against `only_after`."""

    n: int
    near_duplicates: int
    right_before: int
    right_after: int
    before: AccuracyEstimate
    after: AccuracyEstimate
    both_right: int
    only_before: int
    only_after: int
    difference: float | None
    low: float | None
    high: float | None
    p: float


class LayerCount(BaseModel):
    """Decisions by layer. A cached ranking counts for the layer of the model that made it."""

    layer: str
    before: int
    after: int


class ModelCalls(BaseModel):
    """How many of 1,000 queries need a model, before and after, without caches. The replay itself
    has made `made` calls; `reused` rankings were those of the log, and `cached` those of the
    cache."""

    per_1000_before: float | None
    per_1000_after: float | None
    made: int
    reused: int
    cached: int


class ReplayCost(BaseModel):
    """What model calls for 1,000 queries cost in USD, before and after, without caches: the mean of
    the calls whose cost is known (`known_before`, `known_after`), for all queries that need a
    model; null if none is known. `spent_usd` is what the replay itself has spent, as far as prices
    are known."""

    per_1000_before_usd: float | None
    per_1000_after_usd: float | None
    known_before: int
    known_after: int
    spent_usd: float


class ReplayReport(BaseModel):
    """`changed` of `n` queries go elsewhere; of these `same_agent` are still answered by the same
    agent, which was decided on before and is the fallback agent now, or the other way. `matrix`
    has all `n` queries, the most frequent cells first. `errors` counts queries without a decision,
    by the reason of the failure: they are `left_out`, as are those that `left_out` counts by
    reason."""

    n: int
    changed: int
    changed_share: ChangedShare
    same_agent: int
    matrix: list[Cell]
    layers: list[LayerCount]
    labelled: LabelledResult
    model_calls: ModelCalls
    cost: ReplayCost
    errors: dict[str, int]
    left_out: dict[str, int]


class ChangesQuery(PageQuery):
    """`after` is the id of the last query seen. `only` "broken" are those that a label shows to be
    right before and wrong after, "fixed" the other way. `from_agent` and `to_agent` narrow the list
    to changes from or to this agent."""

    only: Literal["broken", "fixed"] | None = None
    from_agent: AgentId | Literal["none"] | None = None
    to_agent: AgentId | Literal["none"] | None = None


class Decided(BaseModel):
    """One side of a changed query. `confidence` is what the stage stated; null if it is not
    known. `right` is null without a label."""

    outcome: str
    agent_id: str | None
    layer: str
    reason: str | None
    confidence: float | None
    right: bool | None


class ReplayChange(BaseModel):
    """A query that goes elsewhere; `id` is that of its log row. `label` is an agent, or "none";
    null without a label in force."""

    id: str
    created_at: str
    query: str
    label: str | None
    before: Decided
    after: Decided
