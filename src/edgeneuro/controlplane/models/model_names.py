"""What can be named as the `model` of a chat beside models: the routers, and the agents."""

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.catalogue import CATALOGUE_CREATED
from edgeneuro.domain.chat import AGENT_PREFIX
from edgeneuro.domain.model import Model, ModelType
from edgeneuro.domain.permissions import Permissions
from edgeneuro.domain.router_names import AUTO, is_router_name, model_name, router_named
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import InvalidRequestError, NotFoundError, PermissionDeniedError

_PROVIDER = "edgeneuro"


def chat_names(config: RoutingConfig, permissions: Permissions) -> list[Model]:
    """The names "auto", "auto:ROUTER" of each router beside the default one, and "agent:ID" of each
    enabled agent that the caller may use, as clients' model pickers read them."""
    names = [AUTO, *map(model_name, config.routers)]
    routers = [_router(config, permissions, name) for name in names]
    agents = map(_agent, permissions.agents_of(config))
    return [*(each for each in routers if each is not None), *agents]


def find_chat_name(config: RoutingConfig, name: str, permissions: Permissions) -> Model | None:
    if is_router_name(name):
        return _router(config, permissions, name)
    return next((model for model in chat_names(config, permissions) if model.id == name), None)


def _router(config: RoutingConfig, permissions: Permissions, name: str) -> Model | None:
    """None for a router that the caller may not use, or with which no model may be called."""
    try:
        found = permissions.router_of(config, router_named(name), param="model")
    except (NotFoundError, PermissionDeniedError):
        return None
    if not permissions.restrict(found).chain:
        return None
    about = config.routers.get(found.router)
    return _named(name, "router", name=None if about is None else about.name)


def require_no_chat_name(name: str, *, param: str) -> None:
    """Raises InvalidRequestError for a name by which a chat would never reach a model."""
    if is_router_name(name) or name.startswith(AGENT_PREFIX):
        raise InvalidRequestError(
            f"{param}: in a chat {name!r} names a router or an agent; choose another name.",
            code="model_name_reserved",
            param=param,
        )


def _agent(agent: Agent) -> Model:
    return _named(f"{AGENT_PREFIX}{agent.id}", "agent", name=agent.name)


def _named(model_id: str, kind: ModelType, *, name: str | None) -> Model:
    return Model(
        id=model_id,
        created=CATALOGUE_CREATED,
        owned_by="edgeneuro",
        name=name,
        type=kind,
        chat=True,
        decisions=kind == "router",
        base_model=model_id,
        adapter=None,
        provider=_PROVIDER,
        status="available",
        supports_lora=False,
        json_mode=False,
        context_window=None,
        pricing=None,
    )
