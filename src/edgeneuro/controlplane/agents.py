"""Agents in the control plane. Exactly one is the default; it is always enabled."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import Change, commit, commit_change
from edgeneuro.controlplane.endpoints import check_endpoint
from edgeneuro.domain.agent import (
    MAX_STORED_AGENTS,
    Agent,
    AgentCreate,
    AgentDeleted,
    AgentPatch,
    AgentWritten,
    LabelsOfAgent,
    OldLabels,
    is_redefined,
)
from edgeneuro.domain.agent_auth import IDENTITY_KEY
from edgeneuro.domain.agent_endpoint import address_of
from edgeneuro.domain.catalogue import find_model
from edgeneuro.domain.fields import Page, PageQuery, page_of
from edgeneuro.domain.model import Model
from edgeneuro.errors import (
    ConflictError,
    ConstraintError,
    InvalidRequestError,
    NotFoundError,
)
from edgeneuro.services import Services
from edgeneuro.store import agents as store
from edgeneuro.store.labels import count_labels_of, set_aside_labels_of
from edgeneuro.store.sql import rfc3339


async def list_agents(call: Call, query: PageQuery) -> Page[Agent]:
    """List agents by id."""
    found = await store.list_agents(call.services.db, limit=query.limit + 1, after=query.after)
    return page_of([_shown(call, agent) for agent in found], limit=query.limit)


async def create_agent(call: Call, body: AgentCreate) -> AgentWritten:
    """Create an agent. The first one becomes the default. Labels of a deleted agent with this id
    stay in force only if `labels` is "keep"."""
    planned = await plan_creation(call, body)
    try:
        rows = await commit_change(call, planned.change)
    except ConstraintError as error:
        raise _agent_exists(body.id) from error
    return _written(_shown(call, store.agent_from_row(rows[0])), planned)


async def get_agent(call: Call, agent_id: str) -> Agent:
    """Read one agent."""
    agent = await store.get_agent(call.services.db, agent_id)
    if agent is None:
        raise _no_such_agent(agent_id)
    return _shown(call, agent)


async def update_agent(call: Call, agent_id: str, body: AgentPatch) -> AgentWritten:
    """Change the fields that are in the body. `default: true` replaces the former default agent.
    Labels that name the agent stay in force, unless `labels` is "set_aside"; if another description
    or other examples may have changed its meaning, the response has a warning."""
    before = await get_agent(call, agent_id)
    planned = await plan_update(call, before, body)
    try:
        rows = await commit_change(call, planned.change)
    except ConstraintError as error:
        raise _default_disabled() from error
    if not rows:
        raise _no_such_agent(agent_id)
    after = store.agent_from_row(rows[0])
    unasked = "labels" not in body.model_fields_set and is_redefined(before, after)
    return _written(_shown(call, after), planned, warn=unasked)


@dataclass(frozen=True)
class PlannedAgent:
    """A change of an agent that was checked: the agent afterwards, how many labels in force name
    it, and whether they are set aside."""

    change: Change
    agent: Agent
    labels: int
    set_aside: bool


async def plan_creation(call: Call, body: AgentCreate) -> PlannedAgent:
    """Raises InvalidRequestError or ConflictError if there cannot be such an agent."""
    services = call.services
    if body.default and not body.enabled:
        raise _default_disabled()
    if await store.count_agents(services.db) >= MAX_STORED_AGENTS:
        raise ConflictError(
            f"There are {MAX_STORED_AGENTS} agents already; delete one first.",
            code="too_many_agents",
        )
    agent = new_agent(services, body)
    check_agent(services, agent, (await services.routing.current()).models)
    if await store.get_agent(services.db, agent.id) is not None:
        raise _agent_exists(agent.id)
    labels = await count_labels_of(services.db, agent.id)
    return creation_of(agent, labels=labels, old=body.labels)


async def plan_update(call: Call, before: Agent, body: AgentPatch) -> PlannedAgent:
    """Raises InvalidRequestError or ConflictError if the agent cannot be so."""
    services = call.services
    changes = {name: getattr(body, name) for name in body.model_fields_set - {"labels", "id"}}
    if "endpoint" in changes and not _same_target(before.endpoint, changes["endpoint"]):
        changes.setdefault("auth", None)
    after = before.model_copy(update=changes)
    if changes.keys() & {"endpoint", "protocol", "auth"}:
        check_endpoint(services.settings, after)
    if "model" in changes:
        _require_chat_model(after.model, (await services.routing.current()).models)
    if changes.get("default") is False and before.default:
        raise ConflictError(
            "This is the default agent. Make another one the default instead.",
            code="default_agent",
            param="default",
        )
    labels = await count_labels_of(services.db, before.id)
    return update_of(services, before, changes, labels=labels, set_aside=body.labels == "set_aside")


def new_agent(services: Services, body: AgentCreate) -> Agent:
    created = rfc3339(services.now_ms())
    fields = body.model_dump(include=set(AgentCreate.model_fields), exclude={"labels"})
    return Agent(**fields, created_at=created, updated_at=created)


def check_agent(services: Services, agent: Agent, models: Mapping[str, Model]) -> None:
    """Whether there can be such an agent, apart from others. Raises InvalidRequestError."""
    check_endpoint(services.settings, agent)
    _require_chat_model(agent.model, models)


def creation_of(agent: Agent, *, labels: int, old: OldLabels | None) -> PlannedAgent:
    """`labels` in force name the id already. Raises ConflictError if `old` does not say what
    becomes of them."""
    if labels and old is None:
        raise ConflictError(
            f"{_labels_name(labels, agent.id)}, which was deleted. Say what becomes of them:"
            ' `labels` "keep" if the new agent means the same, else "set_aside" (they are taken'
            " back; their history stays).",
            code="agent_has_labels",
            param="labels",
        )
    set_aside = set_aside_labels_of(agent.id) if labels and old == "set_aside" else []
    change = Change(
        statements=[*set_aside, *store.insert_agent(agent)],
        action="create",
        resource="agent",
        resource_id=agent.id,
        after=agent,
    )
    return PlannedAgent(change, agent, labels, bool(set_aside))


def update_of(
    services: Services,
    before: Agent,
    changes: Mapping[str, Any],
    *,
    labels: int,
    set_aside: bool,
) -> PlannedAgent:
    """`changes` are fields with their new values; `labels` in force name the agent."""
    after = before.model_copy(update=dict(changes))
    withdrawn = set_aside_labels_of(before.id) if set_aside else []
    update = store.update_agent(before.id, changes, now_ms=services.now_ms())
    change = Change(
        statements=[*withdrawn, *update],
        action="update",
        resource="agent",
        resource_id=before.id,
        before=before,
        after=after,
    )
    return PlannedAgent(change, after, labels, bool(withdrawn))


async def delete_agent(call: Call, agent_id: str) -> AgentDeleted:
    """Delete an agent. The default agent can be deleted only as the last one."""
    before = await get_agent(call, agent_id)
    rows = await commit(
        call,
        [store.delete_agent(agent_id)],
        action="delete",
        resource="agent",
        resource_id=agent_id,
        before=before,
    )
    if not rows:
        raise ConflictError(
            "This is the default agent. Make another one the default first.", code="default_agent"
        )
    return AgentDeleted(id=agent_id)


def _written(agent: Agent, planned: PlannedAgent, *, warn: bool = False) -> AgentWritten:
    labels = planned.labels
    if not labels:
        return AgentWritten(**agent.model_dump())
    kept = 0 if planned.set_aside else labels
    warning = kept_labels_warning(agent.id, labels) if warn else None
    about = LabelsOfAgent(kept=kept, set_aside=labels - kept, warning=warning)
    return AgentWritten(**agent.model_dump(), labels=about)


def _same_target(before: str | None, after: str | None) -> bool:
    """Whether secrets for the one may go to the other."""
    if before is None or after is None:
        return before == after
    try:
        return address_of(before).target == address_of(after).target
    except ValueError:  # the row may be older than the rules
        return False


def _shown(call: Call, agent: Agent) -> Agent:
    if agent.auth is None:
        return agent
    names = [*agent.auth.secrets, *([IDENTITY_KEY] if agent.auth.identity else [])]
    missing = [name for name in names if not call.services.secret(name)]
    return agent.model_copy(update={"missing_secrets": missing})


def kept_labels_warning(agent_id: str, labels: int) -> str:
    return (
        f"{_labels_name(labels, agent_id)}, and they stay in force. If it means something else"
        ' now, PATCH it with `labels` "set_aside".'
    )


def _labels_name(labels: int, agent_id: str) -> str:
    return f"{labels} label{'s name' if labels > 1 else ' names'} the agent {agent_id!r}"


def _agent_exists(agent_id: str) -> ConflictError:
    return ConflictError(
        f"There is an agent {agent_id!r} already; change it with PATCH, or choose another id.",
        code="agent_exists",
        param="id",
    )


def _require_chat_model(name: str | None, models: Mapping[str, Model]) -> None:
    """A model that is not there may still be registered; a decision or embedding model
    never answers a chat."""
    if name is None:
        return
    model = find_model(models, name)
    if model is not None and model.type == "embedding":
        raise InvalidRequestError(
            f"model: {name!r} is an embedding model, which writes no text. Name a model that"
            " answers chats.",
            code="model_is_embedding",
            param="model",
        )
    if model is not None and model.type == "decision":
        raise InvalidRequestError(
            f"model: {name!r} is a decision model, which writes no text. Name a model that answers"
            " chats; to route with a decision model, select it with POST /v1/models/select.",
            code="model_is_decision",
            param="model",
        )


def _no_such_agent(agent_id: str) -> NotFoundError:
    return NotFoundError(
        f"There is no agent {agent_id[:100]!r}. GET /v1/agents lists them.",
        code="unknown_agent",
        param="agent_id",
    )


def _default_disabled() -> ConflictError:
    return ConflictError(
        "The default agent is always enabled. Enable it, or make another one the default first.",
        code="default_agent",
        param="enabled",
    )
