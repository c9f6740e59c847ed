"""A proposed configuration: the present one with changes that are tried before they are made."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from edgeneuro.domain.agent import Agent, AgentId, AgentPatch, ModelId
from edgeneuro.domain.classifier import ClassifierId
from edgeneuro.domain.config import SETTINGS
from edgeneuro.domain.fields import hide_defaults
from edgeneuro.domain.prompt import prompt_versions
from edgeneuro.domain.routing import RoutingConfig, with_active
from edgeneuro.errors import InvalidRequestError
from edgeneuro.settings import Settings

MAX_AGENT_CHANGES = 50
_OUTCOME_SETTINGS = [name for name, each in SETTINGS.items() if each.about.group == "outcomes"]


class AgentChange(AgentPatch):
    """The fields that change, of the agent `id`; a new agent needs `name` and `description`.
    `enabled` false removes an agent."""

    id: AgentId


class Proposal(BaseModel):
    """What is left out stays as it is. `model_id` becomes the active model, `classifier_id` the
    classifier in front of it (null: none)."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=hide_defaults)

    model_id: ModelId | None = None
    classifier_id: ClassifierId | None = None
    confidence_threshold: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    agents: Annotated[list[AgentChange], Field(max_length=MAX_AGENT_CHANGES)] = Field(
        default_factory=list
    )

    def changes(self) -> dict[str, Any]:
        """As it was sent, for storing."""
        return self.model_dump(mode="json", exclude_unset=True)


def apply_proposal(
    config: RoutingConfig, settings: Settings, proposal: Proposal, agents: Sequence[Agent]
) -> RoutingConfig:
    """`agents` are all there are, disabled ones too; the model and the classifier must be known to
    the configuration. Raises InvalidRequestError where the agents' changes make no sense."""
    if proposal.agents:
        found = _changed_agents(agents, proposal.agents)
        config = replace(config, agents={each.id: each for each in found if each.enabled})
    if proposal.model_id is not None:
        config = with_active(config, config.models[proposal.model_id], settings)
    if "classifier_id" in proposal.model_fields_set:
        config = replace(config, classifier=proposal.classifier_id)
    if proposal.confidence_threshold is not None:
        config = replace(config, confidence_threshold=proposal.confidence_threshold)
    return config


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
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _changed_agents(agents: Sequence[Agent], changes: Sequence[AgentChange]) -> list[Agent]:
    """By id, as the configuration has them."""
    found = {agent.id: agent for agent in agents}
    for index, change in enumerate(changes):
        given = change.model_dump(include=change.model_fields_set)
        before = found.get(change.id)
        if before is None:
            _require_new(given, index)
            before = _NEW.model_copy(update={"id": change.id})
        after = before.model_copy(update=given)
        if after.default and not after.enabled:
            raise InvalidRequestError(
                f"agents[{index}].enabled: the default agent is always enabled. Make another one"
                " the default first.",
                code="default_agent",
                param=f"agents[{index}].enabled",
            )
        if given.get("default"):
            found = {key: each.model_copy(update={"default": False}) for key, each in found.items()}
        found[change.id] = after
    return [found[key] for key in sorted(found)]


def _require_new(given: Mapping[str, Any], index: int) -> None:
    for name in ("name", "description"):
        if name not in given:
            raise InvalidRequestError(
                f"agents[{index}].{name}: this field is missing; a new agent needs it. GET"
                " /v1/agents lists those that are there.",
                code="missing_field",
                param=f"agents[{index}].{name}",
            )


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
