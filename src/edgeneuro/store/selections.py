"""The selections of models and classifiers, as the table `audit` has them."""

from edgeneuro.domain.selection_history import SelectionType
from edgeneuro.store.audit import ENTRY_COLUMNS, AuditEntry, entry_from_row
from edgeneuro.store.database import Database, statement

# As the index `audit_selections` has them: without it all of the audit would be read.
_INDEXED = (
    "action IN ('select', 'disable', 'update') AND resource IN ('model', 'classifier', 'config')"
)
_SETTINGS: dict[SelectionType, str] = {"model": "routing_model", "classifier": "classifier"}


async def list_selections(
    db: Database, kind: SelectionType, *, limit: int, after: str | None
) -> list[AuditEntry]:
    """Newest first: selections, and changes of the setting that names what is selected. `after` is
    the id of the last entry seen, which comes first."""
    changed = f"'$.{_SETTINGS[kind]}'"
    rows = await db.run(
        statement(
            f"SELECT {ENTRY_COLUMNS} FROM audit WHERE {_INDEXED}"
            " AND (?1 IS NULL OR id <= ?1)"
            " AND (resource = ?2 AND action <> 'update' OR resource = 'config'"
            f" AND before ->> {changed} IS NOT after ->> {changed})"
            " ORDER BY id DESC LIMIT ?3",
            after,
            kind,
            limit,
        )
    )
    return [entry_from_row(row) for row in rows]
