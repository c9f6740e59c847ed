"""Analytics: how much was asked and answered, by whom, how well, how fast and for how much."""

from collections.abc import Mapping, Sequence
from typing import Any

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.controlplane.learning.drift import classifier_analytics
from edgeneuro.controlplane.observe.refusals import refusals_of
from edgeneuro.domain.analytics import (
    Analytics,
    AnalyticsQuery,
    AnalyticsRange,
    Group,
    Latency,
    MeasuredAccuracy,
    ModelAttempts,
    Period,
    RebuildRequest,
    Rebuilt,
    Totals,
    accuracy_of,
)
from edgeneuro.domain.decision import ANSWERED
from edgeneuro.domain.savings import DecisionSums, Savings, savings_of
from edgeneuro.domain.statistics import bucket_ms
from edgeneuro.errors import InvalidRequestError
from edgeneuro.store.analytics import STEPS, UsageRead, by_place, read_usage
from edgeneuro.store.classifiers import find_classifier
from edgeneuro.store.database import Row
from edgeneuro.store.drift import read_windows
from edgeneuro.store.sql import rfc3339, unix_ms
from edgeneuro.store.usage import DAY, HOUR, SLOTS_KEPT, SUMS, rebuild_hour, reopen_days

_MAX_DAYS = 366
_MAX_REBUILT_HOURS = 96  # 10 statements each; a Worker may run 1,000 a request

COUNTING = {
    "requests": "Answers: one log row each. A request refused before it was routed is none.",
    "errors": "Answers with an HTTP status other than 200. `error_rate` is of requests.",
    "fallback_answers": "Answers with status 200 by the fallback agent (outcome fallback)."
    " `fallback_rate` is of requests.",
    "cache_hits": "Answers recalled from the router's own cache, whatever the layer then was;"
    " AI Gateway's cache is not in it. `cache_hit_rate` is of requests.",
    "answered_without_model": "Answers with no attempt of a model that decides or writes: recalled,"
    " or from a classifier."
    " `without_model_rate` is of requests.",
    "attempts": "Tries of models; one answer has none, one or more. In a group by model or adapter"
    " they are those of the answers that it gave; `models` counts by the model asked.",
    "failed_attempts": "Attempts whose outcome is neither ok nor not_mine.",
    "prompt_tokens": "As the models counted them, over all attempts; an answer of AI Gateway's"
    " cache counts none. The same holds for completion_tokens; total_tokens is their sum.",
    "cost_usd": "Tokens by the models' prices at the time of the answer, summed over the answers"
    " whose price is known.",
    "unpriced_answers": "Answers with an attempt whose model has no known price: not in cost_usd.",
    "latency_ms": "Over answers, from the request's arrival at the router to the decision, or to"
    " the end of a chat's answer. Nearest rank in a histogram of ten equal steps a doubling; the"
    " value 2ab/(a+b) stands for the bucket [a, b) and is within 5 % of the exact percentile from"
    " 0.0625 ms to 131 s.",
    "accuracy": "Questions drawn at random from the log and labelled without the answer being shown"
    " (`labelled`), each once, near-duplicates as one, by the newest answer with status 200 whose"
    " log row is kept; in groups, once in each. Right if the agent is the label's, or, where the"
    " label says that no agent fits, if the reason is out_of_scope or low_confidence. low and high"
    " are the 95 % Wilson interval. other_labelled and other_right are questions labelled in other"
    " ways: they were chosen because they are hard, so they are no measure of all questions.",
    "misrouted": "Decisions of which an agent said that they are not for it, or that a caller"
    " rerouted (signals not_mine and rerouted), by the time of that; by agent in groups by agent,"
    " else null there. `misroute_rate` is of requests.",
    "reasons": "Answers by the reason for which no agent was decided on, or for which the request"
    " failed.",
    "models": "Attempts by the model that was asked and by outcome.",
    "classifier": "asked: answers for which the classifier was asked, not those that were still in"
    " an isolate's memory; answered: those of layer classifier; abstained: the others of asked."
    " out_of_scope: answers whose reason that is. disagreement: a sample of its answers that the"
    " model was asked for too. drift: what the selected classifier alone was asked in the last"
    " hour, 24 hours and 7 days up to `to`, each with the present hour; its training's shares are"
    " of held-out labels. alerts: from 50 questions on a share that is higher than at its training"
    " by more than 4 standard errors and 5 points; agents asked for in other shares than in the 7"
    " days before (or among its labels, while those days have fewer than 200 answers), by a PSI of"
    " 0.25 and a chi-square of 4 standard deviations; disagreement with a lower bound over 10 %,"
    " from 10 audit samples on.",
    "savings": "Decisions for which no model was called, by the stage that made them: `calls`."
    " `single_flight` are those that shared the call of a request made at the same time."
    " `cost_usd` and `time_ms` are estimates, no bill: each call at the mean of the models'"
    " decisions of the same day (of the whole range where a day has fewer than 20), less what the"
    " stages took themselves. Requests that name their agent or their model's own decision are not"
    " in it. cost_usd is null where no price is known, time_ms where no model has decided.",
    "refusals": "Requests that were refused before they were routed, so that they are none of"
    " `requests`: a limit of the key or of the installation, a budget, a scope, an agent, model or"
    " router that is not allowed, a wrong request to the calls that route; and credentials that are"
    " not known, have expired or were revoked. Nothing of the request is stored. `keys` has the 100"
    " callers with the most; its `key` is null for credentials that are not known.",
    "series": "Every period of the range, in UTC; empty ones have zeros. The first and the"
    " last day are those parts of it that the range holds. `layers` counts the answers by the layer"
    " that gave them.",
}
_RANDOM_LABELS = 100  # with so many the interval is at most 20 points wide
_NO_LATENCY = Latency()
NOTHING = dict.fromkeys(SUMS, 0)


async def show_analytics(call: Call, query: AnalyticsQuery) -> Analytics:
    """Sums, rates and percentiles of a range of hours: in total, by period, and by group. The
    default range is the last 24 hours. `counting` says what each metric counts."""
    now_ms = call.services.now_ms()
    start, stop = range_of(query.from_, query.to, now_ms=now_ms)
    if query.interval == "5m" and (stop - start > DAY or start < now_ms - SLOTS_KEPT):
        raise InvalidRequestError(
            "interval: 5m is for ranges of at most 24 hours in the last 3 days. Choose hour, or a"
            " shorter range.",
            param="interval",
        )
    db = call.services.db
    await call.services.refusals.write(db)
    read = await read_usage(
        db, start=start, stop=stop, interval=query.interval, group_by=query.group_by
    )
    selected = (await call.services.routing.fresh()).classifier
    classifier = None if selected is None else await find_classifier(db, selected)
    windows = {} if classifier is None else await read_windows(db, classifier.id, stop=stop)
    step = STEPS[query.interval]
    periods = range(start - start % step, stop, step)
    return Analytics(
        from_=rfc3339(start),
        to=rfc3339(stop),
        interval=query.interval,
        group_by=query.group_by,
        totals=_totals(read),
        series=_series(read, periods, start),
        groups=_groups(read, by_agent=query.group_by == "agent"),
        reasons={row["place"]: row["answers"] for row in read.reasons if row["place"]},
        models=_models(read.attempts),
        classifier=classifier_analytics(read, classifier, windows, start=start, stop=stop),
        savings=savings_in(read.decisions, start, stop),
        refusals=refusals_of(read, periods, start),
        counting=COUNTING,
    )


async def rebuild(call: Call, body: RebuildRequest) -> Rebuilt:
    """Compute the sums of a range of hours from the logs again, at most 96 hours per request. Hours
    whose log rows are partly or completely deleted keep their sums."""
    start, stop = range_of(body.from_, body.to, now_ms=call.services.now_ms())
    if stop - start > _MAX_REBUILT_HOURS * HOUR:
        raise InvalidRequestError(
            f"from: more than {_MAX_REBUILT_HOURS} hours before `to`. Rebuild part by part.",
            param="from",
        )
    hours = AnalyticsRange(from_=rfc3339(start), to=rfc3339(stop))
    # First, so that a rebuild that is cut off is on record too.
    await commit(
        call,
        [reopen_days(start, stop)],
        action="rebuild",
        resource="analytics",
        resource_id=f"{hours.from_}/{hours.to}",
        after=hours,
    )
    skipped = [
        rfc3339(hour)
        for hour in range(start, stop, HOUR)
        if not await rebuild_hour(call.services.db, hour)
    ]
    return Rebuilt(
        from_=hours.from_, to=hours.to, hours=(stop - start) // HOUR - len(skipped), skipped=skipped
    )


def range_of(from_: str | None, to: str | None, *, now_ms: int) -> tuple[int, int]:
    """The whole hours that hold the range."""
    stop = -(-(now_ms if to is None else unix_ms(to)) // HOUR) * HOUR
    start = stop - DAY if from_ is None else unix_ms(from_) // HOUR * HOUR
    if start >= stop:
        raise InvalidRequestError(
            f"to: must be later than `from`; here they are {rfc3339(stop)} and {rfc3339(start)}.",
            param="from" if to is None else "to",
        )
    if stop - start > _MAX_DAYS * DAY:
        raise InvalidRequestError(
            f"from: more than {_MAX_DAYS} days before `to`. Ask for a shorter range.", param="from"
        )
    return start, stop


def _totals(read: UsageRead) -> Totals:
    sums = {name: sum(row[name] for row in read.groups) for name in SUMS}
    latency = read.total_latency[0] if read.total_latency else None
    [questions] = [row for row in read.labelled if row["place"] is None]
    misrouted = sum(row["misrouted"] for row in read.misroutes)
    return Totals(
        **figures_of(sums, latency),
        **_misroutes(misrouted, sums["answers"]),
        accuracy=_accuracy(questions),
    )


def _misroutes(misrouted: int, answers: int | float) -> dict[str, Any]:
    # A decision of before the range may be said to be wrong in it.
    rate = round(min(misrouted / answers, 1.0), 6) if answers else None
    return {"misrouted": misrouted, "misroute_rate": rate}


def _accuracy(row: Mapping[str, Any]) -> MeasuredAccuracy:
    """Sums of nothing are null in SQL."""
    measured = accuracy_of(row.get("correct") or 0, row.get("labelled") or 0)
    missing = _RANDOM_LABELS - measured.labelled
    return MeasuredAccuracy(
        **measured.model_dump(),
        other_labelled=row.get("other_labelled") or 0,
        other_right=row.get("other_correct") or 0,
        next_step=f"Label {missing} random questions: GET /v1/labels/queue?stream=random"
        if missing > 0
        else None,
    )


def _series(read: UsageRead, starts: Sequence[int], first: int) -> list[Period]:
    sums, latencies = by_place(read.periods), by_place(read.period_latencies)
    layers: dict[int, dict[str, int]] = {}
    for row in read.period_layers:
        layers.setdefault(row["place"], {})[row["layer"]] = row["answers"]
    empty = Period(start="", layers={}, **figures_of(NOTHING, None))
    periods = []
    for start in starts:
        moment = rfc3339(max(start, first))
        if start in sums:
            metrics = figures_of(sums[start], latencies.get(start))
            shares = layers.get(start, {})
            periods.append(Period.model_construct(start=moment, layers=shares, **metrics))
        else:
            periods.append(empty.model_copy(update={"start": moment}))
    return periods


def _groups(read: UsageRead, *, by_agent: bool) -> list[Group]:
    """The largest first."""
    misrouted = {row["place"]: row["misrouted"] for row in read.misroutes}
    latencies, labelled = by_place(read.group_latencies), by_place(read.labelled)
    groups = []
    for row in sorted(read.groups, key=lambda row: (-row["answers"], row["place"])):
        place = row["place"]
        known = _misroutes(misrouted.get(place, 0), row["answers"]) if by_agent and place else {}
        groups.append(
            Group(
                key=place or None,
                **figures_of(row, latencies.get(place)),
                **known,
                accuracy=_accuracy(labelled.get(place, {})),
            )
        )
    return groups


def _models(rows: Sequence[Row]) -> list[ModelAttempts]:
    outcomes: dict[tuple[str, str], dict[str, int]] = {}
    for row in rows:
        outcomes.setdefault((row["model"], row["adapter"]), {})[row["outcome"]] = row["attempts"]
    models = [
        ModelAttempts(
            model=model,
            adapter=adapter or None,
            attempts=sum(counts.values()),
            failed_attempts=sum(counts.values()) - sum(counts.get(each, 0) for each in ANSWERED),
            outcomes=counts,
        )
        for (model, adapter), counts in outcomes.items()
    ]
    return sorted(models, key=lambda model: -model.attempts)


def savings_in(rows: Sequence[Row], start: int, stop: int) -> Savings:
    """Every day of the range is in it; the first and the last are the parts that the range has."""
    found: dict[int, dict[str, DecisionSums]] = {
        day: {} for day in range(start - start % DAY, stop, DAY)
    }
    for row in rows:
        sums = {name: row[name] for name in DecisionSums.__dataclass_fields__}
        found[row["day"]][row["stage"]] = DecisionSums(**sums)
    return savings_of([(rfc3339(max(day, start)), stages) for day, stages in found.items()])


def figures_of(sums: Mapping[str, int | float], latency: Row | None) -> dict[str, Any]:
    """The fields of domain/analytics.UsageFigures; `latency` are percentiles as buckets."""
    answers = sums["answers"]

    def rate(part: int | float) -> float | None:
        return round(part / answers, 6) if answers else None

    return {
        "requests": answers,
        "errors": sums["errors"],
        "error_rate": rate(sums["errors"]),
        "fallback_answers": sums["fallback_answers"],
        "fallback_rate": rate(sums["fallback_answers"]),
        "cache_hits": sums["cache_hits"],
        "cache_hit_rate": rate(sums["cache_hits"]),
        "answered_without_model": sums["without_model"],
        "without_model_rate": rate(sums["without_model"]),
        "attempts": sums["attempts"],
        "failed_attempts": sums["failed_attempts"],
        "prompt_tokens": sums["prompt_tokens"],
        "completion_tokens": sums["completion_tokens"],
        "total_tokens": sums["prompt_tokens"] + sums["completion_tokens"],
        "cost_usd": round(sums["cost_usd"], 12),
        "unpriced_answers": sums["unpriced_answers"],
        "latency_ms": latency_of(latency),
    }


def latency_of(row: Row | None) -> Latency:
    """Of percentiles as buckets."""
    if row is None:
        return _NO_LATENCY
    return Latency(**{name: bucket_ms(row[name]) for name in ("p50", "p95", "p99")})
