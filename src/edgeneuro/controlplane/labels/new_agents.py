"""Agents that an import creates: written in one batch with its labels, however many they are."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import entry_of
from edgeneuro.domain.agent import MAX_STORED_AGENTS, Agent
from edgeneuro.domain.import_mapping import FileAgentCreate
from edgeneuro.errors import ConflictError, ConstraintError, PermissionDeniedError
from edgeneuro.store.agents import insert_agents, list_agent_ids
from edgeneuro.store.audit import insert_entries
from edgeneuro.store.database import Statement
from edgeneuro.store.labels import count_labels_of_each
from edgeneuro.store.sql import rfc3339
from edgeneuro.web.auth import Access


@dataclass(frozen=True)
class NewAgents:
    """Agents that were checked, and the `statements` that write them with their audit rows."""

    agents: Sequence[Agent]
    statements: Sequence[Statement]

    async def commit(self, call: Call) -> None:
        """Writes the agents alone. Raises ConflictError if one of them is there by now."""
        try:
            async with self.still_new(call):
                await call.services.db.batch(self.statements)
        finally:
            call.services.routing.forget()

    @asynccontextmanager
    async def still_new(self, call: Call) -> AsyncGenerator[None, None]:
        """Around the write: raises ConflictError if it failed because an id was free when the
        agents were checked, and is no longer."""
        try:
            yield
        except ConstraintError as error:
            there = await list_agent_ids(call.services.db)
            taken = next((agent.id for agent in self.agents if agent.id in there), None)
            if taken is None:
                raise
            raise ConflictError(
                f"create: an agent {taken!r} was created meanwhile, so nothing was written. Send"
                " the file again.",
                code="agent_exists",
                param="create",
            ) from error


async def plan_agents(
    call: Call, bodies: Sequence[FileAgentCreate], existing: Sequence[Agent]
) -> NewAgents:
    """`existing` are all agents. Raises PermissionDeniedError, or ConflictError if there cannot be
    such agents."""
    if not bodies:
        return NewAgents((), ())
    services = call.services
    if Access.ADMIN not in call.credential.scopes:
        raise PermissionDeniedError(
            "create: to create agents needs the scope 'admin'. Map the names to agents that there"
            " are, or skip their lines.",
            param="create",
        )
    if len(existing) + len(bodies) > MAX_STORED_AGENTS:
        raise ConflictError(
            f"create: there are {len(existing)} agents already, and with {len(bodies)} more there"
            f" would be more than {MAX_STORED_AGENTS}. Map more names to the same agent, or skip"
            " their lines.",
            code="too_many_agents",
            param="create",
        )
    labels = await count_labels_of_each(services.db, [body.id for body in bodies])
    taken = {agent.id for agent in existing}
    for place, body in enumerate(bodies):
        if body.id in taken:
            raise ConflictError(
                f"create[{place}].id: there is an agent {body.id!r} already; choose another id.",
                code="agent_exists",
                param=f"create[{place}].id",
            )
        taken.add(body.id)
        if labels.get(body.id) and body.labels is None:
            raise ConflictError(
                f"create[{place}].id: labels in force name the agent {body.id!r}, which was"
                f" deleted ({labels[body.id]:,} of them). Choose another id, or send `labels`"
                ' "keep" if the new agent means the same.',
                code="agent_has_labels",
                param=f"create[{place}].id",
            )
    created_at = rfc3339(services.now_ms())
    agents = [_new_agent(body, created_at) for body in bodies]
    entries = [
        entry_of(call, action="create", resource="agent", resource_id=agent.id, after=agent)
        for agent in agents
    ]
    return NewAgents(agents, [insert_agents(agents), insert_entries(entries)])


def _new_agent(body: FileAgentCreate, created_at: str) -> Agent:
    return Agent(
        id=body.id,
        name=body.name,
        description=body.description,
        examples=[],
        endpoint=None,
        protocol="openai",
        system_prompt=None,
        model=None,
        enabled=True,
        default=False,
        created_at=created_at,
        updated_at=created_at,
    )
