"""What can be named as the `model` of a chat beside models: the router, and the agents."""

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.catalogue import CATALOGUE_CREATED
from edgeneuro.domain.chat import AGENT_PREFIX, AUTO
from edgeneuro.domain.model import Model, ModelType
from edgeneuro.domain.permissions import Permissions
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import InvalidRequestError

_PROVIDER = "edgeneuro"


def chat_names(config: RoutingConfig, permissions: Permissions) -> list[Model]:
    """The names "auto" and "agent:ID" of each enabled agent that the caller may use, as clients'
    model pickers read them."""
    routes = [_named(AUTO, "router", name=None)] if permissions.restrict(config).chain else []
    return [*routes, *map(_agent, permissions.agents_of(config))]


def find_chat_name(config: RoutingConfig, name: str, permissions: Permissions) -> Model | None:
    return next((model for model in chat_names(config, permissions) if model.id == name), None)


def require_no_chat_name(name: str, *, param: str) -> None:
    """Raises InvalidRequestError for a name by which a chat would never reach a model."""
    if name == AUTO or name.startswith(AGENT_PREFIX):
        raise InvalidRequestError(
            f"{param}: in a chat {name!r} names the router or an agent; choose another name.",
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
