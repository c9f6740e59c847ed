"""Agents in the control plane. Exactly one is the default; it is always enabled."""

from edgeneuro.call import Call
from edgeneuro.controlplane.audit import commit
from edgeneuro.domain.agent import Agent, AgentCreate, AgentDeleted, AgentPatch
from edgeneuro.domain.page import Page, PageQuery, page_of
from edgeneuro.errors import (
    ConflictError,
    ConstraintError,
    InvalidRequestError,
    NotFoundError,
)
from edgeneuro.store import agents as store
from edgeneuro.store.times import rfc3339

_MAX_AGENTS = 250  # every isolate keeps them all, and the prompt lists them all


async def list_agents(call: Call, query: PageQuery) -> Page[Agent]:
    """List agents by id."""
    found = await store.list_agents(call.services.db, limit=query.limit + 1, after=query.after)
    return page_of(found, limit=query.limit)


async def create_agent(call: Call, body: AgentCreate) -> Agent:
    """Create an agent. The first one becomes the default."""
    services = call.services
    if body.default and not body.enabled:
        raise _default_disabled()
    if await store.count_agents(services.db) >= _MAX_AGENTS:
        raise ConflictError(
            f"There are {_MAX_AGENTS} agents already; delete one first.", code="too_many_agents"
        )
    created = rfc3339(services.now_ms())
    agent = Agent(**body.model_dump(), created_at=created, updated_at=created)
    _require_endpoint(agent)
    try:
        rows = await commit(
            call,
            store.insert_agent(agent),
            action="create",
            resource="agent",
            resource_id=agent.id,
            after=agent,
        )
    except ConstraintError as error:
        raise ConflictError(
            f"There is an agent {body.id!r} already; change it with PATCH, or choose another id.",
            code="agent_exists",
            param="id",
        ) from error
    return store.agent_from_row(rows[0])


async def get_agent(call: Call, agent_id: str) -> Agent:
    """Read one agent."""
    agent = await store.get_agent(call.services.db, agent_id)
    if agent is None:
        raise _no_such_agent(agent_id)
    return agent


async def update_agent(call: Call, agent_id: str, body: AgentPatch) -> Agent:
    """Change the fields that the body holds. `default: true` takes the place of the former
    default."""
    services = call.services
    changes = body.model_dump(include=body.model_fields_set)
    before = await get_agent(call, agent_id)
    after = before.model_copy(update=changes)
    if changes.keys() & {"endpoint", "protocol"}:
        _require_endpoint(after)
    if changes.get("default") is False and before.default:
        raise ConflictError(
            "This is the default agent. Make another one the default instead.",
            code="default_agent",
            param="default",
        )
    try:
        rows = await commit(
            call,
            store.update_agent(agent_id, changes, now_ms=services.now_ms()),
            action="update",
            resource="agent",
            resource_id=agent_id,
            before=before,
            after=after,
        )
    except ConstraintError as error:
        raise _default_disabled() from error
    if not rows:
        raise _no_such_agent(agent_id)
    return store.agent_from_row(rows[0])


async def delete_agent(call: Call, agent_id: str) -> AgentDeleted:
    """Delete an agent. The default one goes last."""
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


def _require_endpoint(agent: Agent) -> None:
    if agent.endpoint is None and agent.protocol != "openai":
        raise InvalidRequestError(
            f"endpoint: an agent with the protocol {agent.protocol!r} needs one. Give its address,"
            " or set `protocol` to 'openai'.",
            param="endpoint",
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
