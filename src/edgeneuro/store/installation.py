"""All that a document of the installation describes, read at one moment, and the guard of the batch
that changes it."""

from collections.abc import Sequence
from dataclasses import dataclass

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.catalogue import BaseModelFacts
from edgeneuro.domain.config import StoredConfig
from edgeneuro.domain.model import Model
from edgeneuro.domain.provider import Provider
from edgeneuro.domain.router import Router
from edgeneuro.domain.rule import Rule
from edgeneuro.store.agents import agent_from_row, select_agents
from edgeneuro.store.config import (
    config_from_rows,
    revisions_from_rows,
    select_config,
    select_revisions,
)
from edgeneuro.store.database import Database, Statement, statement
from edgeneuro.store.models import (
    facts_from_row,
    model_from_row,
    select_discovered,
    select_models,
)
from edgeneuro.store.providers import provider_from_row, select_providers
from edgeneuro.store.routers import intact_routers, select_routers
from edgeneuro.store.rules import intact_rules, select_rules


@dataclass(frozen=True, kw_only=True)
class StoredInstallation:
    """Disabled agents, rules and providers too, each by id, rules in their order. `models` and
    `discovered` are what a document does not have, and what it may name."""

    revision: int
    agents: Sequence[Agent]
    rules: Sequence[Rule]
    routers: Sequence[Router]
    config: StoredConfig
    providers: Sequence[Provider]
    models: Sequence[Model] = ()
    discovered: Sequence[BaseModelFacts] = ()


async def read_installation(db: Database) -> StoredInstallation:
    revisions, agents, rules, routers, config, providers, models, discovered = await db.batch(
        [
            select_revisions(),
            select_agents(),
            select_rules(),
            select_routers(),
            select_config(),
            select_providers(),
            select_models(),
            select_discovered(),
        ]
    )
    return StoredInstallation(
        revision=revisions_from_rows(revisions).routing,
        agents=[agent_from_row(row) for row in agents],
        rules=intact_rules(rules),
        routers=intact_routers(routers),
        config=config_from_rows(config),
        providers=[provider_from_row(row) for row in providers],
        models=[model_from_row(row) for row in models],
        discovered=[facts_from_row(row) for row in discovered],
    )


def require_revision(revision: int) -> Statement:
    """Refuses the whole batch that it begins, by a constraint, if the configuration has
    changed."""
    return statement(
        "INSERT INTO revision (id, value)"
        " SELECT NULL, NULL WHERE (SELECT value FROM revision) <> ?1",
        revision,
    )
