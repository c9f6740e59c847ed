"""The report of a replay, counted over its items, and the list of the queries that change."""

import json

from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.analytics import accuracy_of
from edgeneuro.domain.replay_report import (
    Cell,
    ChangedShare,
    ChangesQuery,
    Decided,
    LabelledResult,
    LayerCount,
    ModelCalls,
    Place,
    ReplayChange,
    ReplayCost,
    ReplayReport,
)
from edgeneuro.domain.statistics import difference_interval, mcnemar
from edgeneuro.store.database import Database, Row, Rows, statement
from edgeneuro.store.sql import Conditions, rfc3339

_PLACES = (
    "before ->> 'outcome' AS before_outcome, before ->> 'agent_id' AS before_agent,"
    " after ->> 'outcome' AS after_outcome, after ->> 'agent_id' AS after_agent"
)
_CHANGED = (
    "(item.before ->> 'outcome' <> item.after ->> 'outcome'"
    " OR item.before ->> 'agent_id' IS NOT item.after ->> 'agent_id')"
)
_DONE = "FROM replay_items WHERE replay_id = ?1 AND state = 'done'"


async def read_report(db: Database, replay_id: str) -> ReplayReport:
    """Of the items that are done; `left_out` is that of the window and of the items."""
    cells, layers, labelled, models, others, stored = await db.batch(
        [
            statement(
                f"SELECT {_PLACES}, count(*) AS n {_DONE} GROUP BY 1, 2, 3, 4"
                " ORDER BY n DESC, 1, 2, 3, 4",
                replay_id,
            ),
            statement(
                "SELECT layer, sum(is_before) AS before, sum(1 - is_before) AS after FROM"
                f" (SELECT before ->> 'layer' AS layer, 1 AS is_before {_DONE} UNION ALL"
                f" SELECT after ->> 'layer', 0 {_DONE}) GROUP BY layer ORDER BY layer",
                replay_id,
            ),
            statement(
                "SELECT count(*) AS n, sum(place = 1) AS questions,"
                " sum(place = 1 AND was AND is_now) AS both,"
                " sum(place = 1 AND was AND NOT is_now) AS only_before,"
                " sum(place = 1 AND NOT was AND is_now) AS only_after FROM"
                " (SELECT item.before ->> 'right' AS was, item.after ->> 'right' AS is_now,"
                " row_number() OVER (PARTITION BY coalesce(logs.near_hash, logs.id)"
                " ORDER BY logs.id) AS place FROM replay_items AS item"
                " JOIN logs ON logs.id = item.log_id WHERE item.replay_id = ?1"
                " AND item.state = 'done' AND item.label IS NOT NULL)",
                replay_id,
            ),
            statement(
                "SELECT count(*) AS n, sum(before_model) AS before, sum(after_model) AS after,"
                " count(before_cost) FILTER (WHERE before_model) AS known_before,"
                " avg(before_cost) FILTER (WHERE before_model) AS mean_before,"
                " count(after_cost) FILTER (WHERE after_model) AS known_after,"
                " avg(after_cost) FILTER (WHERE after_model) AS mean_after,"
                f" sum(origin = 'log') AS reused, sum(origin = 'cache') AS cached {_DONE}",
                replay_id,
            ),
            statement(
                "SELECT state, reason, count(*) AS n, sum(calls) AS calls,"
                " sum(spent_usd) AS spent_usd FROM replay_items WHERE replay_id = ?1"
                " GROUP BY state, reason ORDER BY state, reason",
                replay_id,
            ),
            statement("SELECT drawn, survey FROM replays WHERE id = ?1", replay_id),
        ]
    )
    matrix = [_cell(row) for row in cells]
    changed = sum(cell.n for cell in matrix if cell.before != cell.after)
    count = models[0]["n"]
    share = accuracy_of(changed, count)
    return ReplayReport(
        n=count,
        changed=changed,
        changed_share=ChangedShare(share=share.accuracy, low=share.low, high=share.high),
        same_agent=sum(
            cell.n
            for cell in matrix
            if cell.before != cell.after and cell.before.agent_id == cell.after.agent_id
        ),
        matrix=matrix,
        layers=[LayerCount.model_validate(row) for row in layers],
        labelled=_labelled(labelled[0]),
        model_calls=_model_calls(models[0], others),
        cost=_cost(models[0], others),
        errors={row["reason"]: row["n"] for row in others if row["state"] == "failed"},
        left_out=_left_out(stored[0], others),
    )


def _cell(row: Row) -> Cell:
    return Cell(
        before=Place(outcome=row["before_outcome"], agent_id=row["before_agent"]),
        after=Place(outcome=row["after_outcome"], agent_id=row["after_agent"]),
        n=row["n"],
    )


def _labelled(row: Row) -> LabelledResult:
    n, both = row["questions"] or 0, row["both"] or 0
    only_before, only_after = row["only_before"] or 0, row["only_after"] or 0
    low, high = difference_interval(only_before, only_after, n) if n else (None, None)
    return LabelledResult(
        n=n,
        near_duplicates=row["n"] - n,
        right_before=both + only_before,
        right_after=both + only_after,
        before=accuracy_of(both + only_before, n),
        after=accuracy_of(both + only_after, n),
        both_right=both,
        only_before=only_before,
        only_after=only_after,
        difference=round((only_after - only_before) / n, 6) if n else None,
        low=None if low is None else round(low, 6),
        high=None if high is None else round(high, 6),
        p=mcnemar(only_before, only_after),
    )


def _model_calls(row: Row, items: Rows) -> ModelCalls:
    n = row["n"]
    return ModelCalls(
        per_1000_before=round(1000 * row["before"] / n, 3) if n else None,
        per_1000_after=round(1000 * row["after"] / n, 3) if n else None,
        made=sum(each["calls"] for each in items),
        reused=row["reused"] or 0,
        cached=row["cached"] or 0,
    )


def _cost(row: Row, items: Rows) -> ReplayCost:
    return ReplayCost(
        per_1000_before_usd=_per_1000(row["n"], row["before"], row["mean_before"]),
        per_1000_after_usd=_per_1000(row["n"], row["after"], row["mean_after"]),
        known_before=row["known_before"],
        known_after=row["known_after"],
        spent_usd=round(sum(each["spent_usd"] for each in items), 12),
    )


def _per_1000(n: int, by_model: int | None, mean: float | None) -> float | None:
    if not n:
        return None
    if not by_model:
        return 0.0
    return None if mean is None else round(1000 * by_model / n * mean, 9)


def _left_out(stored: Row, items: Rows) -> dict[str, int]:
    found: dict[str, int] = dict(json.loads(stored["survey"])["left_out"])
    more = {"deleted": stored["drawn"] - sum(row["n"] for row in items)}
    for row in items:
        if row["state"] == "failed":
            more["failed"] = more.get("failed", 0) + row["n"]
        elif row["state"] == "left_out":
            more[row["reason"]] = more.get(row["reason"], 0) + row["n"]
    for reason, count in more.items():
        if count:
            found[reason] = found.get(reason, 0) + count
    return found


async def list_changes(
    db: Database, replay_id: str, query: ChangesQuery, *, limit: int
) -> list[ReplayChange]:
    """Newest first."""
    wanted = Conditions()
    wanted.add("item.replay_id = ? AND item.state = 'done'", replay_id)
    wanted.add(_CHANGED)
    if query.after is not None:
        wanted.add("item.log_id < ?", query.after)
    if query.only is not None:
        was = query.only == "broken"
        wanted.add(
            "item.before ->> 'right' = ? AND item.after ->> 'right' = ?",
            int(was),
            int(not was),
        )
    for side, agent in (("before", query.from_agent), ("after", query.to_agent)):
        if agent is not None:
            name = None if agent == NO_AGENT else agent
            wanted.add(f"item.{side} ->> 'agent_id' IS ?", name)
    rows = await db.run(
        statement(
            "SELECT item.log_id, item.label, item.before, item.after, logs.created_at, logs.query"
            " FROM replay_items AS item JOIN logs ON logs.id = item.log_id"
            f" WHERE {wanted.sql} ORDER BY item.log_id DESC LIMIT ?",
            *wanted.values,
            limit,
        )
    )
    return [
        ReplayChange(
            id=row["log_id"],
            created_at=rfc3339(row["created_at"]),
            query=row["query"],
            label=row["label"],
            before=Decided.model_validate_json(row["before"]),
            after=Decided.model_validate_json(row["after"]),
        )
        for row in rows
    ]
