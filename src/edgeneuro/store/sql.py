"""Parts of SQL statements that several tables share.

Times are unix milliseconds in the tables and RFC 3339 in UTC outside."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from edgeneuro.store.database import Database, Statement, Value


def rfc3339(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unix_ms(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)


def ids_json(names: Sequence[str] | None) -> str | None:
    """A list of ids as a column has it; null is everything."""
    return None if names is None else json.dumps(list(names))


def ids(text: str | None) -> list[str] | None:
    names: list[str] | None = None if text is None else json.loads(text)
    return names


def compact_json(value: object) -> str:
    """As SQLite's own functions write it, without blanks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# The kind of a log row. The CHECK of the column `kind` has "route" and "chat" alone.
LOG_KIND = "coalesce(logs.other_kind, logs.kind)"
# Its outcome: that CHECK has "agent", "fallback" and "none" alone.
LOG_OUTCOME = "coalesce(logs.other_outcome, logs.outcome)"


# UPDATE statements of the fields that change, so that simultaneous changes of others stay.


def update_row(
    table: str,
    row_id: str,
    columns: Mapping[str, Value],
    *,
    returning: str,
    only_if: str = "true",
) -> Statement:
    """`columns` and the condition `only_if` are never a client's text; values are bound. No row
    comes back where none is changed."""
    assignments = ", ".join(f"{column} = ?{n}" for n, column in enumerate(columns, start=2))
    return Statement(
        f"UPDATE {table} SET {assignments} WHERE id = ?1 AND {only_if} RETURNING {returning}",
        (row_id, *columns.values()),
    )


# The conditions of a WHERE that depends on what was asked for: the text holds `?` alone, and the
# values are bound in the same order.


@dataclass
class Conditions:
    values: list[Value] = field(default_factory=list)
    _parts: list[str] = field(default_factory=list)

    def add(self, sql: str, *values: Value) -> None:
        self._parts.append(sql)
        self.values += values

    def add_equal(self, table: str, wanted: Mapping[str, Value]) -> None:
        """For each column with a value: the rows that have it."""
        for column, value in wanted.items():
            if value is not None:
                self.add(f"{table}.{column} = ?", value)

    def add_all(self, others: "Conditions") -> None:
        self._parts += others._parts
        self.values += others.values

    @property
    def is_empty(self) -> bool:
        return not self._parts

    @property
    def sql(self) -> str:
        return " AND ".join(self._parts) or "true"


# Percentiles of single values, computed in SQL: an array of all values would pass the 2 MB that a
# value of D1 may have. Those of histograms are in usage.py.


def exact_percentiles(value: str, source: str, *, group: str = "''") -> str:
    """A query for `p50` and `p95` of each `place`: the smallest value that at least so many percent
    of the values do not exceed (nearest rank). `value` and `group` are expressions over `source`;
    nulls do not count, and a group without values has no row."""
    ranked = (
        f"SELECT {group} AS place, {value} AS value,"
        f" row_number() OVER (PARTITION BY {group} ORDER BY {value}) AS rank,"
        f" count(*) OVER (PARTITION BY {group}) AS n"
        f" FROM {source} WHERE {value} IS NOT NULL"
    )
    at = "min(value) FILTER (WHERE 100 * rank >= {} * n) AS p{}"
    return f"SELECT place, {at.format(50, 50)}, {at.format(95, 95)} FROM ({ranked}) GROUP BY place"


# Deleting what has expired, chunk by chunk: D1 ends a query after 30 s.

PURGE_CHUNK = 1_000  # rows a statement


async def purge_in_chunks(db: Database, chunk: Statement, *, max_chunks: int) -> int:
    """Runs the statement, which deletes at most PURGE_CHUNK rows and returns them, until it finds
    no more. Returns how many went."""
    purged = 0
    for _ in range(max_chunks):
        rows = await db.run(chunk)
        purged += len(rows)
        if len(rows) < PURGE_CHUNK:
            break
    return purged
