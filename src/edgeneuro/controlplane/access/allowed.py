"""What keys, users and teams may name as allowed: agents, models and a router that exist, and a
team."""

from collections.abc import Sequence
from typing import Any

from edgeneuro.call import Call
from edgeneuro.domain.catalogue import find_model
from edgeneuro.errors import InvalidRequestError
from edgeneuro.store.agents import list_agent_ids
from edgeneuro.store.teams import get_team


async def checked(call: Call, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields, with ids for the aliases of models. Raises InvalidRequestError for what does not
    exist; fields that are not there, or null, are not checked."""
    await require_agents(call, fields.get("agents"))
    await require_router(call, fields.get("router"))
    await _require_team(call, fields.get("team_id"))
    if fields.get("models") is None:
        return fields
    return {**fields, "models": await _model_ids(call, fields["models"])}


async def require_agents(
    call: Call, wanted: Sequence[str] | None, *, param: str | None = None
) -> None:
    """Disabled agents may be named: they may be enabled later. The field is `agents[INDEX]`, or
    `param`."""
    if wanted is None:
        return
    known = await list_agent_ids(call.services.db)
    for index, agent_id in enumerate(wanted):
        if agent_id not in known:
            field = param or f"agents[{index}]"
            raise InvalidRequestError(
                f"{field}: there is no agent {agent_id!r}. GET /v1/agents lists them.",
                code="unknown_agent",
                param=field,
            )


async def require_router(call: Call, router_id: str | None) -> None:
    if router_id is None:
        return
    if (await call.services.routing.fresh()).for_router(router_id) is None:
        raise InvalidRequestError(
            f"router: there is no router {router_id!r}. GET /v1/routers lists them.",
            code="unknown_router",
            param="router",
        )


async def _require_team(call: Call, team_id: str | None) -> None:
    if team_id is not None and await get_team(call.services.db, team_id) is None:
        raise unknown_team(team_id)


def unknown_team(team_id: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"team_id: there is no team {team_id!r}. GET /v1/teams lists them.",
        code="unknown_team",
        param="team_id",
    )


async def _model_ids(call: Call, wanted: Sequence[str]) -> list[str]:
    """The ids of the models, which may be named by an alias."""
    config = await call.services.routing.fresh()
    found: list[str] = []
    for index, name in enumerate(wanted):
        model = find_model(config.models, name)
        if model is None:
            raise InvalidRequestError(
                f"models[{index}]: there is no model {name!r}. GET /v1/models lists them.",
                code="model_not_found",
                param=f"models[{index}]",
            )
        found.append(model.id)
    return list(dict.fromkeys(found))
