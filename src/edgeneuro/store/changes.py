"""UPDATE statements of the fields that change, so that simultaneous changes of others stay."""

from collections.abc import Mapping

from edgeneuro.store.database import Statement, Value


def update_row(
    table: str, row_id: str, columns: Mapping[str, Value], *, returning: str
) -> Statement:
    """`columns` are names of ours, never a client's; their values are bound."""
    assignments = ", ".join(f"{column} = ?{n}" for n, column in enumerate(columns, start=2))
    return Statement(
        f"UPDATE {table} SET {assignments} WHERE id = ?1 RETURNING {returning}",
        (row_id, *columns.values()),
    )
