"""The models that answer a chat: the named model or the agent's, and the fallback models; and which
parts of the request each of them gets.

An agent's endpoint is treated as a model, so that one chain serves both: the time budget, the
circuit breakers, the attempts."""

from collections.abc import Callable
from typing import Any

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.catalogue import CATALOGUE_CREATED, find_model
from edgeneuro.domain.chat import AGENT_PREFIX, ChatRequest
from edgeneuro.domain.model import Model
from edgeneuro.domain.provider import Kind
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import ConflictError, EdgeNeuroError, InvalidRequestError, NotFoundError
from edgeneuro.settings import Settings

_AGENT = "agent"  # the provider in attempts
_ROUTER = "router"
Kinds = Kind | None  # None: an agent's endpoint
# Servers of many vendors, each with parameters of its own. They ignore what they do not know.
_TAKE_EVERYTHING: tuple[Kinds, ...] = ("openai-compatible", None)
# The others refuse parameters that they do not know, except these.
_EXTRA_PARAMETERS: dict[Kinds, tuple[str, ...]] = {
    "workers-ai": ("top_k", "repetition_penalty"),
    "anthropic": ("thinking",),
    "groq": ("include_reasoning", "reasoning_format"),
}
# Parameters of OpenAI's API that Workers AI's models refuse.
_OF_VENDORS = ("reasoning_effort", "verbosity")


def named_agent(config: RoutingConfig, name: str) -> Agent:
    """The agent of "agent:ID". Raises NotFoundError if it does not exist or is not enabled."""
    agent = config.agents.get(name.removeprefix(AGENT_PREFIX))
    if agent is None:
        raise _not_found(f"{name!r} is not an enabled agent. GET /v1/agents lists them.")
    return agent


def named_model(config: RoutingConfig, name: str) -> Model:
    """The model with this id or alias, if it can chat. Raises NotFoundError, InvalidRequestError
    for a decision or embedding model, and ConflictError for one that is not ready."""
    model = find_model(config.models, name)
    if model is None or model.type == "classifier":
        raise _not_found(
            f"There is no model {name!r}. GET /v1/models lists them; 'auto' lets the router choose"
            " an agent, 'agent:ID' names one."
        )
    if model.type == "embedding":
        raise InvalidRequestError(
            f"The model {name!r} is an embedding model: it turns texts into vectors and writes no"
            " text. Name another model for a chat.",
            code="model_is_embedding",
            param="model",
        )
    if model.type == "decision":
        raise InvalidRequestError(
            f"The model {name!r} is a decision model: it answers questions with probabilities and"
            " writes no text. Name another model for a chat; POST /v1/decisions asks a decision"
            " model.",
            code="model_is_decision",
            param="model",
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


def stale_model(config: RoutingConfig, agent: Agent) -> EdgeNeuroError | None:
    """Why the agent's own model cannot be used; None if it can, or if the agent has none."""
    try:
        if agent.model is not None and agent.model not in config.withheld:
            named_model(config, agent.model)
    except (NotFoundError, InvalidRequestError, ConflictError) as error:
        return error
    return None


def models_of_agent(config: RoutingConfig, agent: Agent, *, fallback: bool) -> tuple[Model, ...]:
    """The models that answer for the agent, in the order in which they are called. Raises the
    reason if the caller may use none of them. The only fallback of an endpoint is the agent's own
    model, if it has one: other models know nothing of that agent."""
    own = None if agent.model is None else find_model(config.models, agent.model)
    if own is not None and stale_model(config, agent) is not None:
        own = None
    if agent.endpoint is not None:
        falls_back = fallback and agent.protocol != "handoff"
        return (endpoint_model(agent), *([own] if own is not None and falls_back else []))
    if own is None:
        return default_models(config, fallback=fallback)
    return with_fallbacks(config, (own,)) if fallback else (own,)


def default_models(config: RoutingConfig, *, fallback: bool) -> tuple[Model, ...]:
    """The models that answer for an agent without a model of its own. Raises as above."""
    models = (_first_base_model(config),)
    return with_fallbacks(config, models) if fallback else models


def with_fallbacks(config: RoutingConfig, models: tuple[Model, ...]) -> tuple[Model, ...]:
    """These models and then the others of the chain, without adapters."""
    taken = {model.id for model in models}
    others = (model for model in config.chain if model.type == "base" and model.id not in taken)
    return (*models, *others)


def endpoint_model(agent: Agent) -> Model:
    """The agent's endpoint as a model. The cost of its answers is not known."""
    return _unlisted(f"{AGENT_PREFIX}{agent.id}", _AGENT)


def router_model(name: str) -> Model:
    """The router as the model that answers, by the name that the client has for it."""
    return _unlisted(name, _ROUTER)


def _unlisted(name: str, provider: str) -> Model:
    return Model(
        id=name,
        created=CATALOGUE_CREATED,
        owned_by="you",
        type="base",
        base_model=name,
        adapter=None,
        provider=provider,
        status="available",
        supports_lora=False,
        json_mode=False,
        context_window=None,
        pricing=None,
    )


def is_endpoint(model: Model, agent: Agent) -> bool:
    return agent.endpoint is not None and model.id == f"{AGENT_PREFIX}{agent.id}"


def _first_base_model(config: RoutingConfig) -> Model:
    """The first of the chain that is neither an adapter nor a decision model: adapters are trained
    to route, not to chat."""
    base = next((model for model in config.chain if model.type == "base"), None)
    return base or _base_beside_chain(config)


def _base_beside_chain(config: RoutingConfig) -> Model:
    """The base of an adapter. Without one there are only decision models, and selecting one must
    not end the chats: the model that was active before, else the one that is by default. Raises
    the reason if the caller may use none of them."""
    adapter = next((model for model in config.chain if model.type == "lora"), None)
    names = _former_models(config) if adapter is None else [adapter.base_model]
    for name in names if config.chain else ():
        model = config.models.get(name)
        if model is not None and model.type == "base" and model.status == "available":
            return model
    if config.withheld:
        raise next(iter(config.withheld.values()))
    if adapter is not None:
        unlisted = {"id": adapter.base_model, "type": "base", "adapter": None}
        return adapter.model_copy(update=unlisted)
    raise ConflictError(
        "No model can answer this chat: the active model and its fallbacks are decision models,"
        " which write no text. Give the agent a `model`, or add a base model to `fallback_models`.",
        code="no_chat_model",
    )


def _former_models(config: RoutingConfig) -> list[str]:
    before = find_model(config.models, config.stored.previous_model or "")
    names = [] if before is None else [before.id if before.adapter is None else before.base_model]
    return [*names, Settings.routing_model]


def _not_found(message: str, *, code: str = "model_not_found") -> NotFoundError:
    return NotFoundError(message, code=code, param="model")


def upstream_kind(config: RoutingConfig, model: Model, endpoint: Model | None) -> Kinds:
    if model is endpoint:
        return None
    provider = config.providers.get(model.provider)
    return "workers-ai" if provider is None else provider.kind


def sent_messages(request: ChatRequest, kind: Kinds) -> list[dict[str, Any]]:
    return request.sent_messages(extras=kind in _TAKE_EVERYTHING)


def sent_parameters(
    request: ChatRequest, parameters: dict[str, Any], kind: Kinds
) -> dict[str, Any]:
    """`parameters` are the request's, with max_tokens if the answer has a bound."""
    if kind in _TAKE_EVERYTHING:
        return {**request.extra_parameters(), **parameters, **request.parameters(extras=True)}
    names = _EXTRA_PARAMETERS.get(kind, ())
    extra = {name: v for name, v in request.extra_parameters().items() if name in names}
    unknown = _OF_VENDORS if kind == "workers-ai" else ()
    return extra | {name: v for name, v in parameters.items() if name not in unknown}


def map_image_urls(
    messages: list[dict[str, Any]], change: Callable[[str], str]
) -> list[dict[str, Any]]:
    """The messages with `change` applied to the address of each image; nothing else is copied."""
    return [
        {**message, "content": _changed(message.get("content"), change)} for message in messages
    ]


def _changed(content: Any, change: Callable[[str], str]) -> Any:
    if not isinstance(content, list):
        return content
    return [_changed_part(part, change) for part in content]


def _changed_part(part: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    image = part.get("image_url")
    if image is None:
        return part
    return {**part, "image_url": {**image, "url": change(image["url"])}}
