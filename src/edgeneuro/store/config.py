"""The table `config`, and the routing configuration: one batch, one moment, one round trip."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from edgeneuro.domain.config import StoredConfig
from edgeneuro.domain.routing import Revisions, RoutingConfig, build_routing_config
from edgeneuro.settings import Settings
from edgeneuro.store import calibrations, routers, rules
from edgeneuro.store.agents import agent_from_row, select_enabled
from edgeneuro.store.classifiers import intact_classifiers, select_classifier_models
from edgeneuro.store.database import Database, Rows, Statement, statement
from edgeneuro.store.embedding_classifiers import select_selected, selected_from_rows
from edgeneuro.store.models import facts_from_row, model_from_row, select_discovered, select_models
from edgeneuro.store.providers import provider_from_row, select_enabled_providers


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


async def load_routing_config(db: Database, settings: Settings) -> tuple[RoutingConfig, Revisions]:
    """The configuration, and all revisions of the same moment."""
    (
        revision_rows,
        config,
        agents,
        models,
        discovered,
        providers,
        classifiers,
        calibrated,
        ruled,
        routed,
        embeddings,
    ) = await db.batch(
        [
            select_revisions(),
            select_config(),
            select_enabled(),
            select_models(),
            select_discovered(),
            select_enabled_providers(),
            select_classifier_models(),
            calibrations.select_calibrations(),
            rules.select_rules(),
            routers.select_routers(),
            select_selected(),
        ]
    )
    revisions = revisions_from_rows(revision_rows)
    loaded = build_routing_config(
        settings,
        revisions.routing,
        config_from_rows(config),
        [agent_from_row(row) for row in agents],
        [model_from_row(row) for row in models],
        [facts_from_row(row) for row in discovered],
        [provider_from_row(row) for row in providers],
        intact_classifiers(classifiers),
        [calibrations.calibration_from_row(row) for row in calibrated],
        rules.intact_rules(ruled),
        routers.intact_routers(routed),
        selected_from_rows(embeddings),
    )
    return loaded, revisions
