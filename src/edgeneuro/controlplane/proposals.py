"""Proposed configurations: checked where they come in, and made again in every slice of the job
that tries them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from edgeneuro.controlplane.models.models import require_available
from edgeneuro.controlplane.rules import check_rule
from edgeneuro.domain.agent import MAX_STORED_AGENTS, Agent
from edgeneuro.domain.proposal import FieldNames, Proposal, apply_proposal
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.rule import Rule
from edgeneuro.errors import InvalidRequestError
from edgeneuro.services import Services
from edgeneuro.store.agents import list_agents
from edgeneuro.store.rules import list_rules

_ALL_AGENTS = 1_000  # more than there can be


@dataclass(frozen=True)
class Present:
    """What a proposal may change beside the configuration: all agents and rules, disabled ones too;
    empty if it changes none."""

    agents: Sequence[Agent] = ()
    rules: Sequence[Rule] = ()

    @classmethod
    async def read(cls, services: Services, proposal: Proposal) -> "Present":
        agents: Sequence[Agent] = ()
        rules: Sequence[Rule] = ()
        if proposal.agents or proposal.rules:
            agents = await list_agents(services.db, limit=_ALL_AGENTS, after=None)
        if proposal.rules:
            rules = await list_rules(services.db)
        return cls(agents, rules)


async def propose(
    services: Services,
    config: RoutingConfig,
    proposal: Proposal,
    *,
    present: Present | None = None,
    named: FieldNames = str,
) -> RoutingConfig:
    """The configuration with the changes. `named` gives the name of a field in the request. Raises
    InvalidRequestError for a model, a classifier, an agent or a rule that cannot be so."""
    present = present or await Present.read(services, proposal)
    if proposal.model_id is not None:
        model = require_available(config, proposal.model_id, param=named("model_id"))
        proposal = proposal.model_copy(update={"model_id": model.id})
    classifier = proposal.classifier_id
    if classifier is not None and classifier not in config.classifiers:
        param = named("classifier_id")
        raise InvalidRequestError(
            f"{param}: there is no classifier {classifier!r} that can answer. GET /v1/classifiers"
            " lists those that have succeeded.",
            code="classifier_not_found",
            param=param,
        )
    _check_count(present, proposal, named)
    known = {agent.id for agent in present.agents} | {each.id for each in proposal.agents}

    def check(rule: Rule, path: str) -> None:
        if rule.router is not None and config.for_router(rule.router) is None:
            raise InvalidRequestError(
                f"{path}.router: there is no router {rule.router!r}. GET /v1/routers lists them.",
                code="unknown_router",
                param=f"{path}.router",
            )
        check_rule(
            rule.when,
            rule.then,
            agents=known,
            models=config.models,
            named=lambda field: f"{path}.{field}",
        )

    proposed = apply_proposal(
        config,
        services.settings,
        proposal,
        agents=present.agents,
        rules=present.rules,
        named=named,
        check_rule=check,
    )
    proposed.require_agents()
    return proposed


def _check_count(present: Present, proposal: Proposal, named: FieldNames) -> None:
    count = len({agent.id for agent in present.agents} | {each.id for each in proposal.agents})
    if count > MAX_STORED_AGENTS:
        raise InvalidRequestError(
            f"{named('agents')}: there would be {count} agents, and {MAX_STORED_AGENTS} are the"
            " most.",
            code="too_many_agents",
            param=named("agents"),
        )


# What the changes of a proposal touch, so that it can be seen later whether that is still so.


def touched(config: RoutingConfig, present: Present, proposal: Proposal) -> dict[str, str | None]:
    """By a name for people: what each changed thing is now, as a text or a hash; None for what is
    not there. Rules are taken together, because their order counts."""
    agents = {agent.id: agent for agent in present.agents}
    found: dict[str, str | None] = {
        f"agent {each.id}": _identity(agents.get(each.id)) for each in proposal.agents
    }
    if any(each.default for each in proposal.agents):
        default = config.default_agent
        found["default agent"] = None if default is None else default.id
    if proposal.rules:
        found["rules"] = _hash([_content(rule) for rule in present.rules])
    for name in proposal.setting_values:
        found[f"setting {name}"] = json.dumps(getattr(config, name))
    if proposal.model_id is not None:
        found["active model"] = config.active.id
        model = config.models.get(proposal.model_id)
        identity = None if model is None else config.identity_hash(model)
        found[f"model {proposal.model_id}"] = identity
    if "classifier_id" in proposal.model_fields_set:
        found["classifier"] = config.classifier
    return found


def _identity(one: BaseModel | None) -> str | None:
    return None if one is None else _hash(_content(one))


def _content(one: BaseModel) -> object:
    return one.model_dump(mode="json", exclude={"created_at", "updated_at"})


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
