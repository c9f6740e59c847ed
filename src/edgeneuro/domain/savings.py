"""Savings: model calls that earlier stages made unnecessary, and an estimate of what they would
have cost and taken.

A decision without a model call has saved what a model's decision takes on average, less what it
took itself. The averages are those of the models' decisions of the same day, or of the whole range
where a day has few. They are estimates and no bill."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel

MODEL_STAGE = "model"
MIN_MODEL_DECISIONS = 20  # of a day, for averages of its own


class SavingsFigures(BaseModel):
    """`calls` are model calls that were not made, one for each decision without one. `cost_usd` is
    null if no price is known, and `time_ms` if no model made a decision in the range; negative if
    the stages took more than models do."""

    calls: int
    cost_usd: float | None
    time_ms: float | None


class SavingsDay(SavingsFigures):
    """A day in UTC, or the part of it that is in the range. `stages` has the figures of each stage
    that made decisions."""

    start: str
    stages: dict[str, SavingsFigures]


class ModelDecisions(BaseModel):
    """The decisions that models were called for, in the range: what savings are compared with."""

    decisions: int
    mean_cost_usd: float | None
    mean_ms: float | None


class Savings(SavingsFigures):
    """Of all decisions of the range that no model was called for: `stages` by the stage that made
    them, `by_day` by day. `compared_with` are the decisions of models. `emulated` is true if an
    emulator made some of these: then costs are at the list price of the models that it stands for,
    and nobody pays them."""

    stages: dict[str, SavingsFigures]
    by_day: list[SavingsDay]
    compared_with: ModelDecisions
    estimate: bool = True
    emulated: bool = False


@dataclass(frozen=True, slots=True)
class DecisionSums:
    """Of decisions that one stage made in one day: `cost_usd` is that of the `priced` ones, `ms`
    the time that the stages took."""

    decisions: int = 0
    priced: int = 0
    cost_usd: float = 0.0
    ms: float = 0.0
    emulated: int = 0

    def __add__(self, other: "DecisionSums") -> "DecisionSums":
        return DecisionSums(
            self.decisions + other.decisions,
            self.priced + other.priced,
            self.cost_usd + other.cost_usd,
            self.ms + other.ms,
            self.emulated + other.emulated,
        )

    @property
    def mean_cost_usd(self) -> float | None:
        return self.cost_usd / self.priced if self.priced else None

    @property
    def mean_ms(self) -> float | None:
        return self.ms / self.decisions if self.decisions else None


def savings_of(days: Sequence[tuple[str, dict[str, DecisionSums]]]) -> Savings:
    """`days` have the sums by stage of each day, by its start."""
    models = _sum(stages[MODEL_STAGE] for _, stages in days if MODEL_STAGE in stages)
    by_day: list[SavingsDay] = []
    for start, stages in days:
        mean = _of_day(stages.get(MODEL_STAGE, DecisionSums()), models)
        saved = {name: _saved(sums, mean) for name, sums in stages.items() if name != MODEL_STAGE}
        by_day.append(SavingsDay(start=start, stages=saved, **_total(saved.values()).model_dump()))
    names = sorted({name for day in by_day for name in day.stages})
    totals = {
        name: _total(day.stages[name] for day in by_day if name in day.stages) for name in names
    }
    return Savings(
        **_total(totals.values()).model_dump(),
        stages=totals,
        by_day=by_day,
        compared_with=ModelDecisions(
            decisions=models.decisions,
            mean_cost_usd=_rounded(models.mean_cost_usd, 12),
            mean_ms=_rounded(models.mean_ms, 2),
        ),
        emulated=models.emulated > 0,
    )


def _of_day(day: DecisionSums, whole: DecisionSums) -> DecisionSums:
    """The sums that the day's averages are of: the few priced decisions of a day may be far from
    its average."""
    costs = day if day.priced >= MIN_MODEL_DECISIONS else whole
    times = day if day.decisions >= MIN_MODEL_DECISIONS else whole
    return replace(times, priced=costs.priced, cost_usd=costs.cost_usd)


def _saved(own: DecisionSums, model: DecisionSums) -> SavingsFigures:
    """A stage may have paid for its decisions too, if it calls an embedding model."""
    cost, ms = model.mean_cost_usd, model.mean_ms
    own_cost = own.mean_cost_usd or 0.0
    return SavingsFigures(
        calls=own.decisions,
        cost_usd=None if cost is None else round((cost - own_cost) * own.decisions, 12),
        time_ms=None if ms is None else round(ms * own.decisions - own.ms, 2),
    )


def _total(figures: Iterable[SavingsFigures]) -> SavingsFigures:
    """Of nothing everything is 0; a sum with an unknown part is unknown."""
    calls, cost, time = 0, 0.0, 0.0
    known_cost = known_time = True
    for each in figures:
        calls += each.calls
        known_cost = known_cost and each.cost_usd is not None
        known_time = known_time and each.time_ms is not None
        cost += each.cost_usd or 0.0
        time += each.time_ms or 0.0
    return SavingsFigures(
        calls=calls,
        cost_usd=round(cost, 12) if known_cost else None,
        time_ms=round(time, 2) if known_time else None,
    )


def _sum(sums: Iterable[DecisionSums]) -> DecisionSums:
    total = DecisionSums()
    for each in sums:
        total += each
    return total


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
