"""The tables `config` and `revision`: settings that the control plane stored, and the numbers that
tell an isolate whether what it caches is still true."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from edgeneuro.domain.routing import Revisions, StoredConfig
from edgeneuro.store.database import Database, Rows, Statement, statement


def select_config() -> Statement:
    return statement("SELECT key, value FROM config")


def select_revisions() -> Statement:
    return statement("SELECT value AS routing, access, labels FROM revision")


def revisions_from_rows(rows: Rows) -> Revisions:
    return Revisions(**rows[0])


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


async def read_revisions(db: Database) -> Revisions:
    return revisions_from_rows(await db.run(select_revisions()))


def store_settings(
    settings: Mapping[str, object], *, now_ms: int, at_revision: int | None = None
) -> Statement:
    """Stores settings; with `at_revision`, only while that is the revision. No row comes back where
    it was not."""
    return statement(
        "INSERT INTO config (key, value, updated_at)"
        " SELECT value ->> 'key', value ->> 'value', ?2 FROM json_each(?1)"
        " WHERE ?3 IS NULL OR (SELECT value FROM revision) = ?3"
        " ON CONFLICT (key)"
        " DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at RETURNING key",
        json.dumps([{"key": key, "value": json.dumps(value)} for key, value in settings.items()]),
        now_ms,
        at_revision,
    )


def delete_settings(keys: Sequence[str], *, at_revision: int | None = None) -> Statement:
    """With `at_revision` only while that is the revision. The keys that are gone come back."""
    return statement(
        "DELETE FROM config WHERE key IN (SELECT value FROM json_each(?1))"
        " AND (?2 IS NULL OR (SELECT value FROM revision) = ?2) RETURNING key",
        json.dumps(keys),
        at_revision,
    )
