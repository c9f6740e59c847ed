"""A proposed configuration: the present one with changes that are tried before they are made."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from edgeneuro.domain.agent import Agent, AgentId, AgentPatch, ModelId
from edgeneuro.domain.classifier import ClassifierId
from edgeneuro.domain.config import DECIDING_SETTINGS
from edgeneuro.domain.config_models import DecidingSettings
from edgeneuro.domain.fields import Id, hide_defaults
from edgeneuro.domain.prompt import prompt_versions
from edgeneuro.domain.routing import RoutingConfig, with_active
from edgeneuro.domain.rule import MAX_RULES, Rule, RuleConditions, RulePatch, rules_of_router
from edgeneuro.domain.setting import Share
from edgeneuro.errors import InvalidRequestError
from edgeneuro.settings import Settings

MAX_AGENT_CHANGES = 50
_OUTCOME_SETTINGS = [
    name for name, each in DECIDING_SETTINGS.items() if each.about.group == "outcomes"
]
MAX_RULE_CHANGES = 50
# How a field of a proposal is named in the request that it comes from.
FieldNames = Callable[[str], str]
# Gets a rule and the path of its change; raises InvalidRequestError.
RuleCheck = Callable[[Rule, str], None]


class AgentChange(AgentPatch):
    """The fields that change, of the agent `id`; a new agent needs `name` and `description`.
    `enabled` false removes an agent."""

    id: AgentId


class RuleChange(RulePatch):
    """The fields that change, of the rule `id`; without `id` it is a new rule, which needs `when`
    and goes to the end, or to `position`. `enabled` false removes a rule."""

    id: Id | None = None


class Proposal(BaseModel):
    """What is left out stays as it is. `model_id` becomes the active model, `classifier_id` the
    classifier in front of it (null: none). `settings` are those that decide; the
    `confidence_threshold` is one of them."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=hide_defaults)

    model_id: ModelId | None = None
    classifier_id: ClassifierId | None = None
    confidence_threshold: Share | None = None
    settings: DecidingSettings | None = None
    agents: Annotated[list[AgentChange], Field(max_length=MAX_AGENT_CHANGES)] = Field(
        default_factory=list
    )
    rules: Annotated[list[RuleChange], Field(max_length=MAX_RULE_CHANGES)] = Field(
        default_factory=list
    )

    def changes(self) -> dict[str, Any]:
        """As it was sent, for storing."""
        return self.model_dump(mode="json", exclude_unset=True)

    @property
    def setting_values(self) -> dict[str, Any]:
        """The settings that change, by name; None stands for the default."""
        given = {} if self.settings is None else self.settings.model_dump(exclude_unset=True)
        if self.confidence_threshold is None:
            return given
        return {"confidence_threshold": self.confidence_threshold, **given}


def apply_proposal(
    config: RoutingConfig,
    settings: Settings,
    proposal: Proposal,
    *,
    agents: Sequence[Agent] = (),
    rules: Sequence[Rule] = (),
    named: FieldNames = str,
    check_rule: RuleCheck | None = None,
) -> RoutingConfig:
    """`agents` and `rules` are all there are, disabled ones too, if the proposal changes some; the
    model and the classifier must be known to the configuration. Raises InvalidRequestError where
    the changes of agents or rules make no sense."""
    if proposal.agents:
        found = _changed_agents(agents, proposal.agents, named)
        config = replace(config, agents={each.id: each for each in found if each.enabled})
    if proposal.rules:
        changed = changed_rules(rules, proposal.rules, named=named, check=check_rule)
        enabled = tuple(rule for rule in changed if rule.enabled)
        config = replace(config, all_rules=enabled, rules=rules_of_router(enabled, config.router))
    if proposal.model_id is not None:
        config = with_active(config, config.models[proposal.model_id], settings)
    if "classifier_id" in proposal.model_fields_set:
        config = replace(config, classifier=proposal.classifier_id)
    values = {
        name: DECIDING_SETTINGS[name].default if value is None else value
        for name, value in proposal.setting_values.items()
    }
    return replace(config, **values) if values else config


def fingerprint(config: RoutingConfig) -> str:
    """A hash of all that decides how a request is routed, but for labels: 32 hex digits."""
    default = config.default_agent
    parts: list[object] = [
        [model.id for model in config.chain],
        config.classifier,
        config.confidence_threshold,
        config.on_no_fit,
        config.agents_revision,
        None if default is None else default.id,
        prompt_versions(model.type for model in config.chain),
    ]
    if config.clarify or config.several:
        parts.append([getattr(config, name) for name in _OUTCOME_SETTINGS])
    calibrations = [config.calibration_version(model.id) for model in config.chain]
    if any(calibrations):
        parts.append(calibrations)
    rules = [
        [rule.when.model_dump(), None if rule.then is None else rule.then.model_dump()]
        for rule in config.rules
    ]
    if rules:
        parts.append({"rules": rules})
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def fingerprint_of_routers(config: RoutingConfig) -> str:
    """The same for the requests to all routers. `config` is that of the router "default"."""
    found = {view.router: fingerprint(view) for view in config.all_routers()}
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:32]


def _changed_agents(
    agents: Sequence[Agent], changes: Sequence[AgentChange], named: FieldNames
) -> list[Agent]:
    """By id, as the configuration has them."""
    found = {agent.id: agent for agent in agents}
    for index, change in enumerate(changes):
        given = {name: getattr(change, name) for name in change.model_fields_set - {"labels"}}
        before = found.get(change.id)
        if before is None:
            _require_new(given, index, named)
            before = _NEW.model_copy(update={"id": change.id})
        after = before.model_copy(update=given)
        wrong = "enabled" if after.default and not after.enabled else None
        if before.default and not after.default:
            wrong = "default"
        if wrong is not None:
            param = named(f"agents[{index}].{wrong}")
            raise InvalidRequestError(
                f"{param}: one agent is the default, and it is enabled. Make another one the"
                " default first.",
                code="default_agent",
                param=param,
            )
        if given.get("default"):
            found = {key: each.model_copy(update={"default": False}) for key, each in found.items()}
        found[change.id] = after
    return [found[key] for key in sorted(found)]


def _require_new(given: Mapping[str, Any], index: int, named: FieldNames) -> None:
    for name in ("name", "description"):
        if name not in given:
            param = named(f"agents[{index}].{name}")
            raise InvalidRequestError(
                f"{param}: this field is missing; a new agent needs it. GET /v1/agents lists those"
                " that are there.",
                code="missing_field",
                param=param,
            )


def changed_rules(
    rules: Sequence[Rule],
    changes: Sequence[RuleChange],
    *,
    named: FieldNames = str,
    check: RuleCheck | None = None,
) -> list[Rule]:
    """All rules in their order, with one change after the other, as the control plane would make
    them. A new rule has an empty id. `check` is called for each rule whose conditions, effect or
    router are new."""
    found = list(rules)
    for index, change in enumerate(changes):
        given = {name: getattr(change, name) for name in change.model_fields_set - {"id"}}
        at = next((n for n, rule in enumerate(found) if rule.id == change.id), None)
        path = named(f"rules[{index}]")
        if change.id is not None and at is None:
            raise InvalidRequestError(
                f"{path}.id: there is no rule {change.id!r}. GET /v1/rules lists them.",
                code="unknown_rule",
                param=f"{path}.id",
            )
        if at is None:
            if "when" not in given:
                raise InvalidRequestError(
                    f"{path}.when: this field is missing; a new rule needs it, and a change needs"
                    " the `id` of a rule.",
                    code="missing_field",
                    param=f"{path}.when",
                )
            before, at = _NEW_RULE, len(found)
        else:
            before = found.pop(at)
        place = given.get("position", at + 1)
        if place > len(found) + 1:
            raise InvalidRequestError(
                f"{path}.position: must be 1 to {len(found) + 1}.", param=f"{path}.position"
            )
        after = before.model_copy(update=given)
        if check is not None and given.keys() & {"when", "then", "router"}:
            check(after, path)
        found.insert(place - 1, after)
    if len(found) > MAX_RULES:
        raise InvalidRequestError(
            f"{named('rules')}: there would be {len(found)} rules, and {MAX_RULES} are the most.",
            code="too_many_rules",
            param=named("rules"),
        )
    return [rule.model_copy(update={"position": n}) for n, rule in enumerate(found, start=1)]


_NEW = Agent(
    id="",
    name="",
    description="",
    examples=[],
    endpoint=None,
    protocol="openai",
    system_prompt=None,
    model=None,
    enabled=True,
    default=False,
    created_at="",
    updated_at="",
)
_NEW_RULE = Rule(
    id="",
    position=1,
    name=None,
    when=RuleConditions(),
    then=None,
    enabled=True,
    created_at="",
    updated_at="",
)
