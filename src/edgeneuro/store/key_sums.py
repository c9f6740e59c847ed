"""What was done with each key: sums of its answers and refusals since several times."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from edgeneuro.store.analytics import SPANS
from edgeneuro.store.database import Database, statement
from edgeneuro.store.refusals import select_refused
from edgeneuro.store.usage import add_new_logs


@dataclass
class Since:
    """Of the requests since one time: answers and their cost, and refusals by reason."""

    answers: int = 0
    cost_usd: float = 0.0
    refusals: dict[str, int] = field(default_factory=dict)


@dataclass
class KeySums:
    """`last_used` is the start of the last hour with an answer, of the day in days that are summed;
    `last_refused` the time of the last refusal; both in unix milliseconds."""

    recent: Since = field(default_factory=Since)
    month: Since = field(default_factory=Since)
    days: Since = field(default_factory=Since)
    last_used: int | None = None
    last_refused: int | None = None


@dataclass(frozen=True)
class KeyTimes:
    """Unix milliseconds: the sums begin at an hour (`recent`), and at days that are not before
    `first`. They end at `stop`."""

    first: int
    recent: int
    month: int
    days: int
    stop: int


async def read_key_sums(
    db: Database, key_ids: Sequence[str], times: KeyTimes
) -> dict[str, KeySums]:
    """By key, each in it."""
    await add_new_logs(db)
    wanted = json.dumps(list(key_ids))
    found = {key_id: KeySums() for key_id in key_ids}
    in_days, in_hours, refused = await db.batch(
        [
            statement(
                f"{SPANS} SELECT key_id, max(used) AS last_used,"
                " sum(iif(used >= ?4, answers, 0)) AS month_answers,"
                " sum(iif(used >= ?4, cost_usd, 0)) AS month_usd,"
                " sum(iif(used >= ?5, answers, 0)) AS days_answers,"
                " sum(iif(used >= ?5, cost_usd, 0)) AS days_usd FROM ("
                " SELECT value AS key_id, day AS used, answers, cost_usd"
                " FROM whole CROSS JOIN usage_days USING (day)"
                " WHERE dimension = 'key' AND value IN (SELECT value FROM json_each(?3))"
                " UNION ALL SELECT key_id, hour, answers, cost_usd"
                " FROM open CROSS JOIN usage_hours ON hour >= start AND hour < stop"
                " WHERE key_id IN (SELECT value FROM json_each(?3))) GROUP BY key_id",
                times.first,
                times.stop,
                wanted,
                times.month,
                times.days,
            ),
            # An hour of yesterday may be in a summed day.
            statement(
                "SELECT key_id, sum(answers) AS answers, sum(cost_usd) AS usd FROM usage_hours"
                " WHERE hour >= ?1 AND key_id IN (SELECT value FROM json_each(?2)) GROUP BY 1",
                times.recent,
                wanted,
            ),
            select_refused(key_ids, times.first, (times.recent, times.month, times.days)),
        ]
    )
    for row in in_days:
        sums = found[row["key_id"]]
        sums.last_used = row["last_used"]
        sums.month = Since(row["month_answers"], row["month_usd"])
        sums.days = Since(row["days_answers"], row["days_usd"])
    for row in in_hours:
        found[row["key_id"]].recent = Since(row["answers"], row["usd"])
    for row in refused:
        sums = found[row["key_id"]]
        sums.last_refused = max(sums.last_refused or 0, row["last_at"])
        for place, since in enumerate((sums.recent, sums.month, sums.days)):
            if row[f"since_{place}"]:
                since.refusals[row["reason"]] = row[f"since_{place}"]
    return found
