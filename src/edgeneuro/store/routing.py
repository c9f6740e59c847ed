"""The routing configuration, read in one batch: one moment, one round trip."""

from edgeneuro.domain.routing import Revisions, RoutingConfig, build_routing_config
from edgeneuro.settings import Settings
from edgeneuro.store.agents import agent_from_row, select_enabled
from edgeneuro.store.classifiers import classifier_model_from_row, select_classifier_models
from edgeneuro.store.config import (
    config_from_rows,
    revisions_from_rows,
    select_config,
    select_revisions,
)
from edgeneuro.store.database import Database
from edgeneuro.store.discovered import facts_from_row, select_discovered
from edgeneuro.store.models import model_from_row, select_models
from edgeneuro.store.providers import provider_from_row, select_enabled_providers


async def load_routing_config(db: Database, settings: Settings) -> tuple[RoutingConfig, Revisions]:
    """The configuration, and all revisions of the same moment."""
    revision_rows, config, agents, models, discovered, providers, classifiers = await db.batch(
        [
            select_revisions(),
            select_config(),
            select_enabled(),
            select_models(),
            select_discovered(),
            select_enabled_providers(),
            select_classifier_models(),
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
        [classifier_model_from_row(row) for row in classifiers],
    )
    return loaded, revisions
