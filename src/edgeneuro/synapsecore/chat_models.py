"""Which models answer a chat: the agent's or the one that was named, and who stands behind it."""

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.catalogue import find_model
from edgeneuro.domain.chat import AGENT_PREFIX
from edgeneuro.domain.model import OWN_PROVIDER, Model
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import ConflictError, NotFoundError
from edgeneuro.services import Services


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
    if model is None or not _talks(config, model):
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


def model_of_agent(services: Services, config: RoutingConfig, agent: Agent) -> Model:
    """The agent's own model; where it names none, or one that is gone, the first of the chain that
    is not an adapter: adapters are trained to route, not to talk."""
    if agent.model is not None:
        try:
            return named_model(config, agent.model)
        except (NotFoundError, ConflictError) as error:
            services.failures.note("agent_model", error)
    return next((model for model in config.chain if model.type == "base"), _base_of_active(config))


def with_fallbacks(config: RoutingConfig, models: tuple[Model, ...]) -> tuple[Model, ...]:
    """These models and then the others of the chain, adapters left out."""
    taken = {model.id for model in models}
    others = (model for model in config.chain if model.type == "base" and model.id not in taken)
    return (*models, *others)


def _base_of_active(config: RoutingConfig) -> Model:
    active = config.active
    known = config.models.get(active.base_model)
    return known or active.model_copy(
        update={"id": active.base_model, "type": "base", "adapter": None}
    )


def _talks(config: RoutingConfig, model: Model) -> bool:
    known = model.provider == OWN_PROVIDER or model.provider in config.providers
    return known and model.type != "classifier"


def _not_found(message: str, *, code: str = "model_not_found") -> NotFoundError:
    return NotFoundError(message, code=code, param="model")
