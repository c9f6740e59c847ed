"""The question: a request made ready for the stages, with the keys under which its answer is cached
and shared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.catalogue import find_model
from edgeneuro.domain.decision import RouteRequest
from edgeneuro.domain.model import Model
from edgeneuro.domain.prompt import PROMPT_VERSION
from edgeneuro.domain.query import query_hash
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import InvalidRequestError
from edgeneuro.synapsecore.cache_key import key_of, model_identity, owner
from edgeneuro.synapsecore.stored_text import stored_text


@dataclass(frozen=True)
class Question:
    """`agents` are the ones that may be chosen, `fallback_agent` the one that answers if none is
    decided on, None for nobody; `models` are asked in this order. `keys` has, by model id, a hash
    over exactly what that model is sent. `flight_key` is over all of them, in order, and the
    revision of the configuration: over everything that may change the answer. `stored` makes of a
    text what is stored of it."""

    query: str
    agents: tuple[Agent, ...]
    fallback_agent: Agent | None
    models: tuple[Model, ...]
    keys: Mapping[str, str]
    flight_key: str
    stored: Callable[[str], str]

    @cached_property
    def query_hash(self) -> str:
        """The identity of the question, that of its text as it is stored."""
        return query_hash(self.stored(self.query))

    @property
    def cache_key(self) -> str:
        """That of the first model: only its answers are cached."""
        return self.keys[self.models[0].id]


def ask_question(request: RouteRequest, config: RoutingConfig, *, key_id: str) -> Question:
    """`key_id` names the caller. Raises InvalidRequestError for candidates that are not enabled
    agents and for a model that is not there, ConflictError if there is no agent at all."""
    default_agent = config.require_default_agent()
    agents = _candidates(request.candidates, config)
    on_no_fit = request.on_no_fit or config.on_no_fit
    has_fallback = on_no_fit == "fallback" and default_agent in agents
    ids = sorted(agent.id for agent in agents) if request.candidates else None
    models = _models(request, config)
    sent = [request.query, config.agents_revision, PROMPT_VERSION, ids, *owner(config, key_id)]
    keys = {model.id: key_of([*sent, *model_identity(model, config)]) for model in models}
    return Question(
        request.query,
        agents,
        default_agent if has_fallback else None,
        models,
        keys=keys,
        flight_key=key_of([*keys.values(), config.revision]),
        stored=partial(stored_text, config),
    )


def _models(request: RouteRequest, config: RoutingConfig) -> tuple[Model, ...]:
    if request.model is None:
        return config.chain
    model = find_model(config.models, request.model)
    if model is None or model.status != "available" or model.type == "classifier":
        raise InvalidRequestError(
            f"{request.model!r} is not a model that can be asked. GET /v1/models lists those that"
            " are available.",
            code="unknown_model",
            param="model",
        )
    # Who names a model and wants nothing instead gets nobody else's answer.
    others = config.chain if request.fallback else ()
    return (model, *(other for other in others if other.id != model.id))


def _candidates(wanted: Sequence[str] | None, config: RoutingConfig) -> tuple[Agent, ...]:
    if wanted is None:
        return tuple(config.agents.values())
    for index, agent_id in enumerate(wanted):
        if agent_id not in config.agents:
            raise InvalidRequestError(
                f"{agent_id!r} is not an enabled agent. GET /v1/agents lists them.",
                code="unknown_agent",
                param=f"candidates[{index}]",
            )
    # In the configuration's order: the same agents make the same prompt.
    return tuple(agent for agent in config.agents.values() if agent.id in set(wanted))
