"""The table `log_slices`: which log rows the bucket LOG_SINK has. Rows are written to it in slices,
by the order in which they were logged. The bounds of a slice are stored before it is written, so a
slice that is written again, by whom and when ever, has the same name and the same rows."""

from dataclasses import dataclass

from edgeneuro.store.database import Database, Row, statement

SLICE_ROWS = 1_000  # of some 1.3 KB, at most some 50 KB
SLICE_MS = 3_600_000  # so long rows wait for others


@dataclass(frozen=True)
class LogSlice:
    """The rows after `after_seq`, up to `to_seq`."""

    after_seq: int
    to_seq: int
    begun_at: int


async def begin_slice(db: Database, *, now_ms: int) -> LogSlice | None:
    """The slice that is to be written: one that was begun and not ended, or the next one. None if
    too few rows wait, and not for long."""
    # Begun at 0, the first slice does not wait.
    last = "(SELECT max(seq) FROM logs)"
    full = (
        "(SELECT seq FROM logs WHERE seq > log_slices.after_seq ORDER BY seq"
        f" LIMIT 1 OFFSET {SLICE_ROWS - 1})"
    )
    late = f"iif(begun_at <= ?1 - {SLICE_MS} AND {last} > after_seq, {last}, NULL)"
    _, rows = await db.batch(
        [
            statement(
                f"UPDATE log_slices SET to_seq = coalesce({full}, {late}), begun_at = ?1"
                f" WHERE to_seq IS NULL AND coalesce({full}, {late}) IS NOT NULL",
                now_ms,
            ),
            statement("SELECT after_seq, to_seq, begun_at FROM log_slices WHERE to_seq NOT NULL"),
        ]
    )
    return _slice(rows[0]) if rows else None


async def end_slice(db: Database, written: LogSlice) -> None:
    """The bucket has it."""
    await db.run(
        statement(
            "UPDATE log_slices SET after_seq = ?2, to_seq = NULL"
            " WHERE after_seq = ?1 AND to_seq = ?2",
            written.after_seq,
            written.to_seq,
        )
    )


def _slice(row: Row) -> LogSlice:
    return LogSlice(row["after_seq"], row["to_seq"], row["begun_at"])
