"""The table `key_usage`: what each limited key has used in its current minute and month.

Each statement rolls the windows over, checks and writes at once, so isolates that count for the
same key at the same time cannot pass a limit together."""

import json
from collections.abc import Sequence

from edgeneuro.domain.key import MINUTES_AHEAD, UNUSED, KeyLimits, Used, windows
from edgeneuro.store.database import Database, Row, Statement, statement

_COLUMNS = "minute, minute_requests, month, tokens, cost_usd"
# Of the row that is there: a window that is over counts nothing, a later one than ours is current,
# as long as it is not too late to be true.
_SAME_MINUTE = f"key_usage.minute BETWEEN excluded.minute AND excluded.minute + {MINUTES_AHEAD}"
_REQUESTS = f"CASE WHEN {_SAME_MINUTE} THEN key_usage.minute_requests ELSE 0 END"
_TOKENS, _COST_USD = (
    f"CASE WHEN key_usage.month >= excluded.month THEN key_usage.{column} ELSE 0 END"
    for column in ("tokens", "cost_usd")
)


def _fits(requests: str, tokens: str, cost_usd: str) -> str:
    """Whoever takes no tokens, or no USD, is not stopped where these are used up. Sums of USD are
    rounded, since 0.1 + 0.2 is more than 0.3."""
    return (
        f"(?6 IS NULL OR {requests} < ?6)"
        f" AND (?7 IS NULL OR ?4 = 0 OR {tokens} + ?4 <= ?7)"
        f" AND (?8 IS NULL OR ?5 = 0 OR round({cost_usd} + ?5, 12) <= ?8)"
    )


_RESERVE = (
    f"INSERT INTO key_usage (key_id, {_COLUMNS})"
    f" SELECT ?1, ?2, 1, ?3, ?4, ?5 WHERE {_fits('0', '0', '0')}"
    " ON CONFLICT (key_id) DO UPDATE SET"
    f" minute = CASE WHEN {_SAME_MINUTE} THEN key_usage.minute ELSE excluded.minute END,"
    f" minute_requests = {_REQUESTS} + 1,"
    f" month = max(month, excluded.month), tokens = {_TOKENS} + excluded.tokens,"
    f" cost_usd = round({_COST_USD} + excluded.cost_usd, 12)"
    f" WHERE {_fits(_REQUESTS, _TOKENS, _COST_USD)}"
    f" RETURNING {_COLUMNS}"
)


async def reserve_usage(
    db: Database, key_id: str, limits: KeyLimits, *, now: float, tokens: int, cost_usd: float
) -> tuple[bool, Used]:
    """Takes one request, the tokens and the USD, or nothing where they do not fit; what is used
    then."""
    reserve = statement(
        _RESERVE,
        key_id,
        *windows(now),
        tokens,
        cost_usd,
        limits.requests_per_minute,
        limits.monthly_token_budget,
        limits.monthly_budget_usd,
    )
    rows = await db.run(reserve)
    if not rows:
        # Once more with the read in one transaction, so that what is read is why it was refused.
        rows, found = await db.batch([reserve, _select([key_id])])
        if not rows:
            return False, (_used(found[0]) if found else UNUSED).at(now)
    return True, _used(rows[0])


def settle_usage(key_id: str, month: int, *, tokens: int, cost_usd: float) -> Statement:
    """Adds what was used beyond a reservation of this month; less than it was is negative. What
    was reserved in a month that is over ended with it."""
    return statement(
        "UPDATE key_usage SET tokens = max(0, tokens + ?3),"
        " cost_usd = max(0, round(cost_usd + ?4, 12)) WHERE key_id = ?1 AND month = ?2",
        key_id,
        month,
        tokens,
        cost_usd,
    )


async def read_usage(db: Database, key_ids: Sequence[str], *, now: float) -> dict[str, Used]:
    """By key; one that has used nothing yet is not in it."""
    rows = await db.run(_select(key_ids))
    return {row["key_id"]: _used(row).at(now) for row in rows}


def _select(key_ids: Sequence[str]) -> Statement:
    return statement(
        f"SELECT key_id, {_COLUMNS} FROM key_usage"
        " WHERE key_id IN (SELECT value FROM json_each(?1))",
        json.dumps(list(key_ids)),
    )


def _used(row: Row) -> Used:
    return Used(
        minute=row["minute"],
        minute_requests=row["minute_requests"],
        month=row["month"],
        tokens=row["tokens"],
        cost_usd=row["cost_usd"],
    )
