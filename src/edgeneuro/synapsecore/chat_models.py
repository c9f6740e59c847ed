"""Who answers a chat: the model that was named, or the agent's; and who stands behind it.

An agent with an endpoint stands among models as a model of its own, so that one chain holds for
both: time, breakers, attempts."""

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.catalogue import CATALOGUE_CREATED, find_model
from edgeneuro.domain.chat import AGENT_PREFIX
from edgeneuro.domain.model import Model
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import ConflictError, NotFoundError

_AGENT = "agent"  # the provider in attempts


def named_agent(config: RoutingConfig, name: str) -> Agent:
    """The agent of "agent:ID". Raises NotFoundError where it is not there or not enabled."""
    agent = config.agents.get(name.removeprefix(AGENT_PREFIX))
    if agent is None:
        raise _not_found(f"{name!r} is not an enabled agent. GET /v1/agents lists them.")
    return agent


def named_model(config: RoutingConfig, name: str) -> Model:
    """The model of that id or alias, if it can talk. Raises NotFoundError, and ConflictError for
    one that is not ready."""
    model = find_model(config.models, name)
    if model is None or model.type == "classifier":
        raise _not_found(
            f"There is no model {name!r}. GET /v1/models lists them; 'auto' lets the router choose"
            " an agent, 'agent:ID' names one."
        )
    if model.status == "retired":
        raise _not_found(f"The model {name!r} is retired; choose another.", code="model_retired")
    if model.status == "not_ready":
        raise ConflictError(
            f"The model {name!r} is not ready; choose one that is available.",
            code="model_not_ready",
            param="model",
        )
    return model


def stale_model(config: RoutingConfig, agent: Agent) -> NotFoundError | ConflictError | None:
    """Why the agent's own model can answer nobody; None where it can, or where it names none."""
    try:
        if agent.model is not None and agent.model not in config.withheld:
            named_model(config, agent.model)
    except (NotFoundError, ConflictError) as error:
        return error
    return None


def models_of_agent(config: RoutingConfig, agent: Agent, *, fallback: bool) -> tuple[Model, ...]:
    """Those that answer for the agent, in this order. Raises why, if the caller may use none of
    them. Behind an endpoint stands the agent's own
    model alone, if it names one: other models know nothing of that agent."""
    own = None if agent.model is None else find_model(config.models, agent.model)
    if own is not None and stale_model(config, agent) is not None:
        own = None
    if agent.endpoint is not None:
        stands_in = fallback and own is not None and agent.protocol != "handoff"
        return (endpoint_model(agent), *([own] if own is not None and stands_in else []))
    models = (own or _first_that_talks(config),)
    return with_fallbacks(config, models) if fallback else models


def with_fallbacks(config: RoutingConfig, models: tuple[Model, ...]) -> tuple[Model, ...]:
    """These models and then the others of the chain, adapters left out."""
    taken = {model.id for model in models}
    others = (model for model in config.chain if model.type == "base" and model.id not in taken)
    return (*models, *others)


def endpoint_model(agent: Agent) -> Model:
    """The agent's endpoint as a model: what its answers cost is not known here."""
    name = f"{AGENT_PREFIX}{agent.id}"
    return Model(
        id=name,
        created=CATALOGUE_CREATED,
        owned_by="you",
        type="base",
        base_model=name,
        adapter=None,
        provider=_AGENT,
        status="available",
        supports_lora=False,
        json_mode=False,
        context_window=None,
        pricing=None,
    )


def is_endpoint(model: Model, agent: Agent) -> bool:
    return agent.endpoint is not None and model.id == f"{AGENT_PREFIX}{agent.id}"


def _first_that_talks(config: RoutingConfig) -> Model:
    """The first of the chain that is not an adapter: adapters are trained to route, not to talk."""
    talks = next((model for model in config.chain if model.type == "base"), None)
    return talks or _base_of_active(config)


def _base_of_active(config: RoutingConfig) -> Model:
    known = config.models.get(config.active.base_model) if config.chain else None
    if known is None and config.withheld:
        raise next(iter(config.withheld.values()))
    active = config.active
    return known or active.model_copy(
        update={"id": active.base_model, "type": "base", "adapter": None}
    )


def _not_found(message: str, *, code: str = "model_not_found") -> NotFoundError:
    return NotFoundError(message, code=code, param="model")
