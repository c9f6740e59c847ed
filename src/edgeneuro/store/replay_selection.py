"""Which log rows a replay is made of: those of a window that were routed and whose text is stored,
drawn at random. The draw depends on the numbers of the rows and on the seed alone, so it can be
repeated."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from edgeneuro.domain.replay import ReplayFilter
from edgeneuro.domain.router_names import DEFAULT_ROUTER
from edgeneuro.errors import FAILURE_REASONS
from edgeneuro.store.database import Database, Statement, statement
from edgeneuro.store.log_filters import CONFIDENCE_SOURCE
from edgeneuro.store.sql import Conditions

MAX_ROWS = 1_000_000  # in a window: they are counted and drawn by an index
MAX_LOOKED_AT = 50_000  # rows that are read
# Two steps of a pseudo-random generator modulo a prime, over the number of the row. SQLite has no
# generator with a seed. No product exceeds 64 bits.
_PRIME = 2_147_483_647
_FIRST = f"(seq % {_PRIME} * 48271 + ? * 16807 + 12345) % {_PRIME}"
_DRAW = f"(first * first % {_PRIME} * 69621 + seq) % {_PRIME}"
_WINDOW = "created_at >= ? AND created_at < ?"
_ROUTED = (
    "logs.status = 200 AND logs.layer <> 'direct' AND logs.other_kind IS NULL"
    " AND coalesce(logs.other_outcome, logs.outcome, logs.agent_id) IS NOT NULL"
)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Times are unix ms. With `logged` the decisions of the log are what the replay compares with,
    so rows without one that can be compared are left out. A row one of whose stages gave one of the
    `bypasses` as its reason was no decision of the whole pipeline, unless a rule named the model
    (`by_rule` is in its reason)."""

    since_ms: int
    to_ms: int
    seed: int
    filter: ReplayFilter
    logged: bool
    bypasses: Sequence[str]
    by_rule: str


@dataclass(frozen=True)
class Survey:
    """What a window holds: its `rows`, how many were `looked_at`, how many of these are `eligible`
    with the mean size of their texts in bytes of UTF-8, and why others are not."""

    rows: int
    looked_at: int
    eligible: int
    mean_bytes: float
    left_out: dict[str, int]


async def survey(db: Database, selection: Selection) -> Survey:
    """`rows` is at most MAX_ROWS + 1; then nothing was looked at."""
    counted = await db.run(
        statement(
            f"SELECT count(*) AS n FROM (SELECT 1 FROM logs WHERE {_WINDOW} LIMIT {MAX_ROWS + 1})",
            selection.since_ms,
            selection.to_ms,
        )
    )
    rows = int(counted[0]["n"])
    if rows > MAX_ROWS:
        return Survey(rows, 0, 0, 0.0, {})
    looked_at = _looked_at(selection)
    found = await db.run(
        statement(
            "SELECT why, count(*) AS n, avg(size) AS mean_bytes"
            f" FROM ({looked_at.sql}) GROUP BY why ORDER BY why",
            *looked_at.parameters,
        )
    )
    fit = next((row for row in found if row["why"] is None), None)
    return Survey(
        rows,
        min(rows, MAX_LOOKED_AT),
        0 if fit is None else fit["n"],
        0.0 if fit is None else fit["mean_bytes"],
        {row["why"]: row["n"] for row in found if row["why"] is not None},
    )


def insert_items(replay_id: str, selection: Selection, *, limit: int) -> Statement:
    """Draws the rows, if the replay is stored."""
    looked_at = _looked_at(selection)
    return statement(
        "INSERT INTO replay_items (replay_id, log_id, place)"
        " SELECT replays.id, drawn.id, row_number() OVER (ORDER BY drawn.draw, drawn.seq)"
        f" FROM replays, (SELECT * FROM ({looked_at.sql}) WHERE why IS NULL"
        " ORDER BY draw, seq LIMIT ?) AS drawn WHERE replays.id = ?",
        *looked_at.parameters,
        limit,
        replay_id,
    )


def _looked_at(selection: Selection) -> Statement:
    """The rows that were routed and fit the filter, each with `why` it is not eligible."""
    filters = _filters(selection.filter)
    drawn = (
        f"SELECT seq, {_DRAW} AS draw FROM (SELECT seq, {_FIRST} AS first FROM logs"
        f" WHERE {_WINDOW}) ORDER BY draw, seq LIMIT {MAX_LOOKED_AT}"
    )
    return statement(
        "SELECT logs.id, logs.seq, draw, length(CAST(logs.query AS BLOB)) AS size, CASE"
        " WHEN logs.query_hash IS NULL OR logs.query = '' THEN 'no_text'"
        " WHEN logs.rerouted_from IS NOT NULL THEN 'rerouted'"
        # An agent of the session waited for the message: which one, only the session knew.
        " WHEN logs.layer = 'session' AND EXISTS (SELECT 1 FROM"
        " json_each(iif(json_valid(logs.stages), logs.stages, '[]')) AS stage"
        " WHERE stage.value ->> 'name' = 'session' AND stage.value ->> 'outcome' = 'decided')"
        " THEN 'session'"
        " WHEN instr(logs.stages, ?) = 0 AND EXISTS (SELECT 1 FROM json_each(?) AS text"
        " WHERE instr(logs.stages, text.value) > 0) THEN 'bypassed'"
        " WHEN ? AND logs.layer = 'label' THEN 'label'"
        " WHEN ? AND logs.reason IN (SELECT value FROM json_each(?)) THEN 'failed_before'"
        f" END AS why FROM ({drawn}) AS window_row CROSS JOIN logs ON logs.seq = window_row.seq"
        f" WHERE {_ROUTED} AND {filters.sql}",
        selection.by_rule,
        json.dumps(selection.bypasses),
        int(selection.logged),
        int(selection.logged),
        json.dumps(FAILURE_REASONS),
        selection.seed,
        selection.since_ms,
        selection.to_ms,
        *filters.values,
    )


def _filters(wanted: ReplayFilter) -> Conditions:
    conditions = Conditions()
    if wanted.router is not None:
        conditions.add("coalesce(logs.router, ?) = ?", DEFAULT_ROUTER, wanted.router)
    conditions.add_equal(
        "logs",
        {
            "agent_id": wanted.agent,
            "layer": wanted.layer,
            "reason": wanted.reason,
            "key_id": wanted.key,
        },
    )
    if wanted.labelled is not None:
        conditions.add(
            f"{'' if wanted.labelled else 'NOT '}EXISTS (SELECT 1 FROM current_labels AS c"
            " WHERE c.query_hash = logs.query_hash)"
        )
    known = f"coalesce({CONFIDENCE_SOURCE}, '') <> 'none'"
    if wanted.min_confidence is not None:
        conditions.add(f"logs.confidence >= ? AND {known}", wanted.min_confidence)
    if wanted.max_confidence is not None:
        conditions.add(f"logs.confidence <= ? AND {known}", wanted.max_confidence)
    return conditions
