"""The tables `config` and `revision`: settings that the control plane stored, and the number that
tells an isolate whether what it keeps is still true."""

import json
from contextlib import suppress
from typing import Any

from edgeneuro.domain.routing import StoredConfig
from edgeneuro.store.database import Database, Rows, Statement, statement


def select_config() -> Statement:
    return statement("SELECT key, value FROM config")


def select_revision() -> Statement:
    return statement("SELECT value FROM revision")


def config_from_rows(rows: Rows) -> StoredConfig:
    """The stored settings. One that is damaged (edited by hand, say) counts as not stored: it must
    not keep every other setting and agent from being read."""
    stored: dict[str, Any] = {}
    for row in rows:
        with suppress(ValueError):
            setting = {row["key"]: json.loads(row["value"])}
            StoredConfig.model_validate(setting)
            stored |= setting
    return StoredConfig.model_validate(stored)


async def read_revision(db: Database) -> int:
    rows = await db.run(select_revision())
    return int(rows[0]["value"])


def store_setting(
    key: str, value: object, *, now_ms: int, at_revision: int | None = None
) -> Statement:
    """Stores one setting; with `at_revision`, only while that is the revision. No row comes back
    where it was not."""
    return statement(
        "INSERT INTO config (key, value, updated_at) SELECT ?1, ?2, ?3"
        " WHERE ?4 IS NULL OR (SELECT value FROM revision) = ?4"
        " ON CONFLICT (key)"
        " DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at RETURNING key",
        key,
        json.dumps(value),
        now_ms,
        at_revision,
    )
