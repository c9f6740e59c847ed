"""UPDATE statements of the fields that change, so that simultaneous changes of others stay."""

from collections.abc import Mapping

from edgeneuro.store.database import Statement, Value


def update_row(
    table: str,
    row_id: str,
    columns: Mapping[str, Value],
    *,
    returning: str,
    only_if: str = "true",
) -> Statement:
    """`columns` and the condition `only_if` are words of ours, never a client's; values are bound.
    No row comes back where none is changed."""
    assignments = ", ".join(f"{column} = ?{n}" for n, column in enumerate(columns, start=2))
    return Statement(
        f"UPDATE {table} SET {assignments} WHERE id = ?1 AND {only_if} RETURNING {returning}",
        (row_id, *columns.values()),
    )
