"""Removes the demonstration agents of a new local installation, all in one request."""

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import Change, audited
from edgeneuro.controlplane.agents import update_of
from edgeneuro.domain.agent import MAX_STORED_AGENTS, Agent, AgentsDeleted, AgentsDeletion
from edgeneuro.errors import ConflictError, InvalidRequestError
from edgeneuro.store import agents as store


async def delete_demonstration_agents(call: Call, query: AgentsDeletion) -> AgentsDeleted:
    """Delete the demonstration agents that nobody has changed. If the fallback agent is one of
    them, `default` names the agent that takes its place; it is left out if there is only one
    other enabled agent, or no other agent at all."""
    services = call.services
    agents = await store.list_agents(services.db, limit=2 * MAX_STORED_AGENTS, after=None)
    gone = [each for each in agents if each.demonstration]
    kept = [each for each in agents if not each.demonstration]
    changes: list[Change] = []
    default = _next_default(gone, kept, query.default)
    if default is not None:
        update = update_of(services, default, {"default": True}, labels=0, set_aside=False)
        changes.append(update.change)
    # The fallback agent last: it can be deleted only if it is the last one, or no longer this.
    changes += [_deletion(each) for each in sorted(gone, key=lambda agent: agent.default)]
    if changes:
        try:
            await services.db.batch([part for each in changes for part in audited(call, each)])
        finally:
            services.routing.forget()
    found = default or next((each for each in kept if each.default), None)
    return AgentsDeleted(
        deleted=[each.id for each in gone], default_agent=None if found is None else found.id
    )


def _deletion(agent: Agent) -> Change:
    return Change(
        statements=[store.delete_agent(agent.id)],
        action="delete",
        resource="agent",
        resource_id=agent.id,
        before=agent,
    )


def _next_default(gone: list[Agent], kept: list[Agent], wanted: str | None) -> Agent | None:
    """The agent that becomes the fallback agent; None if there is one, or no agent is left."""
    if wanted is not None:
        found = next((each for each in kept if each.id == wanted and each.enabled), None)
        if found is None:
            raise InvalidRequestError(
                f"default: {wanted!r} is no enabled agent that stays. Name another one.",
                code="unknown_agent",
                param="default",
            )
        return None if found.default else found
    if not kept or not any(each.default for each in gone):
        return None
    able = [each for each in kept if each.enabled]
    if len(able) == 1:
        return able[0]
    former = next(each.id for each in gone if each.default)
    advice = (
        "Enable one of the others first."
        if not able
        else "Name the agent that takes its place: `?demonstration=true&default=ID`."
    )
    raise ConflictError(
        f"The fallback agent {former!r} is one of the demonstration agents. {advice}",
        code="default_agent",
        param="default",
    )
