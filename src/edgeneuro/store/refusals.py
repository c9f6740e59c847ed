"""The table `refusals`: how many requests were refused, by five minutes, caller and reason. After
three days the slots of an hour become one row, so that the table stays small."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from edgeneuro.domain.refusal import Refusal
from edgeneuro.store.database import Database, Statement, statement
from edgeneuro.store.usage import DAY, HOUR, SLOTS_KEPT

_MERGED_LATE = 2 * DAY  # that a run may come late; older slots stay as they are
_KEPT = 366 * DAY
_MAX_KEYS = 100
_ADD = (
    "INSERT INTO refusals (slot, key_id, reason, requests, last_at)"
    " SELECT {columns} FROM {source}"
    " ON CONFLICT (slot, key_id, reason) DO UPDATE SET requests = requests + excluded.requests,"
    " last_at = max(last_at, excluded.last_at)"
)
_ADD_SUMS = _ADD.format(
    columns=", ".join(f"value ->> {place}" for place in range(5)),
    source="json_each(?1) WHERE true",
)
_OLD_SLOTS = f"slot >= ?1 AND slot < ?2 AND slot % {HOUR} <> 0"
_MERGE = _ADD.format(
    columns=f"slot - slot % {HOUR}, key_id, reason, sum(requests), max(last_at)",
    source=f"refusals WHERE {_OLD_SLOTS} GROUP BY 1, 2, 3",
)


@dataclass(frozen=True, slots=True)
class RefusalSum:
    """So many `requests` in the five minutes from `slot` on, the last one at `last_at`; both in
    unix milliseconds."""

    slot: int
    refusal: Refusal
    requests: int
    last_at: int

    def __add__(self, other: "RefusalSum") -> "RefusalSum":
        last_at = max(self.last_at, other.last_at)
        return RefusalSum(self.slot, self.refusal, self.requests + other.requests, last_at)


async def add_refusals(db: Database, sums: Sequence[RefusalSum]) -> None:
    rows = [[s.slot, s.refusal.key_id, s.refusal.reason, s.requests, s.last_at] for s in sums]
    await db.run(statement(_ADD_SUMS, json.dumps(rows)))


def select_periods(start: int, stop: int, step: int) -> Statement:
    """A row for each period of `step` milliseconds and reason in the range."""
    return statement(
        "SELECT slot - slot % ?3 AS place, reason, sum(requests) AS requests FROM refusals"
        " WHERE slot >= ?1 AND slot < ?2 GROUP BY 1, 2",
        start,
        stop,
        step,
    )


def select_refused_keys(start: int, stop: int) -> Statement:
    """A row for each reason of the 100 callers with the most refusals in the range; `key_id` is
    empty for credentials that are not known."""
    return statement(
        "WITH sums AS (SELECT key_id, reason, sum(requests) AS requests, max(last_at) AS last_at"
        " FROM refusals WHERE slot >= ?1 AND slot < ?2 GROUP BY 1, 2)"
        " SELECT key_id, reason, requests, last_at FROM sums WHERE key_id IN (SELECT key_id"
        f" FROM sums GROUP BY 1 ORDER BY sum(requests) DESC, key_id LIMIT {_MAX_KEYS})",
        start,
        stop,
    )


def select_refused(key_ids: Sequence[str], first: int, starts: Sequence[int]) -> Statement:
    """For each of these keys and reason the refusals from `first` on: `last_at`, and how many since
    each of the `starts`, as `since_0`, `since_1`, ...; all in unix milliseconds."""
    sums = ", ".join(
        f"sum(iif(slot >= ?{place + 3}, requests, 0)) AS since_{place}"
        for place in range(len(starts))
    )
    return statement(
        f"SELECT key_id, reason, max(last_at) AS last_at, {sums} FROM refusals"
        " WHERE slot >= ?1 AND key_id IN (SELECT value FROM json_each(?2)) GROUP BY 1, 2",
        first,
        json.dumps(list(key_ids)),
        *starts,
    )


async def merge_refusals(db: Database, *, now_ms: int) -> None:
    """Makes hours of slots older than three days, and deletes what is older than a year."""
    stop = (now_ms - SLOTS_KEPT) // HOUR * HOUR
    span = (stop - _MERGED_LATE, stop)
    await db.batch(
        [
            statement(_MERGE, *span),
            statement(f"DELETE FROM refusals WHERE {_OLD_SLOTS}", *span),
            statement("DELETE FROM refusals WHERE slot < ?1", now_ms - _KEPT),
        ]
    )
