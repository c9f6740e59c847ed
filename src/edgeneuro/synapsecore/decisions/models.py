"""Which decision models may answer the questions of a request."""

from collections.abc import Sequence

from edgeneuro.domain.catalogue import find_model
from edgeneuro.domain.chat import AGENT_PREFIX
from edgeneuro.domain.model import Model
from edgeneuro.domain.permissions import Permissions
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import ConflictError, InvalidRequestError, NotFoundError
from edgeneuro.synapsecore.decisions.asked import AskedQuestion
from edgeneuro.synapsecore.decisions.routed import unknown_agents

_NAMED_IN_MESSAGE = 3  # models


def require_known_name(name: str) -> None:
    """Raises for names that are no decision model's in any configuration."""
    if name.startswith(AGENT_PREFIX):
        raise InvalidRequestError(
            f"model: {name!r} is an agent, which answers no questions with probabilities. Send"
            " 'auto' to let the router choose an agent, or name the agent in POST"
            " /v1/chat/completions.",
            param="model",
        )


def named_models(
    everything: RoutingConfig, permissions: Permissions, name: str, *, fallback: bool
) -> tuple[Model, ...]:
    """The decision model of that id, alias or bare name ("clef"), and then those of the chain that
    the caller may use. Raises NotFoundError, ConflictError for a model that is not ready,
    InvalidRequestError for one that writes text, and what `require_model` raises."""
    config = permissions.restrict(everything)
    model = find_model(everything.models, name) or _by_bare_name(everything, name)
    if model is None or model.type == "classifier":
        raise NotFoundError(
            f"There is no model {name!r}. GET /v1/models lists them; `decisions` marks those that"
            " answer questions. 'auto' lets the router choose an agent.",
            code="model_not_found",
            param="model",
        )
    permissions.require_model(everything, model.id)
    if model.status == "retired":
        raise NotFoundError(
            f"The model {name!r} is retired; choose another.", code="model_retired", param="model"
        )
    if model.status == "not_ready":
        raise ConflictError(
            f"The model {name!r} is not ready; choose one that is available.",
            code="model_not_ready",
            param="model",
        )
    if model.type != "decision":
        raise InvalidRequestError(
            f"model: {name!r} {_what_it_does(model)} {_decision_models(config)}",
            code="not_a_decision_model",
            param="model",
        )
    others = [each for each in chain_models(config) if each.id != model.id] if fallback else []
    return (model, *others)


def _what_it_does(model: Model) -> str:
    if model.type == "embedding":
        return "turns texts into vectors and gives no probabilities."
    return "writes text and gives no probabilities; call it with POST /v1/chat/completions."


def chain_models(config: RoutingConfig) -> tuple[Model, ...]:
    """The decision models of the chain: the active model, the fallback models, the providers'."""
    return tuple(model for model in config.chain if model.type == "decision")


def automatic_models(
    everything: RoutingConfig,
    permissions: Permissions,
    questions: Sequence[AskedQuestion],
    *,
    fallback: bool,
) -> tuple[Model, ...]:
    """The models for "auto", for these questions that the router does not decide. Raises the reason
    if the caller may use none."""
    config = permissions.restrict(everything)
    models = chain_models(config)
    if models:
        return models if fallback else models[:1]
    for each in chain_models(everything):
        permissions.require_model(everything, each.id)
    first = questions[0]
    unknown = unknown_agents(first, everything)
    why = f" (no enabled agent: {', '.join(unknown[:_NAMED_IN_MESSAGE])})" if unknown else ""
    raise InvalidRequestError(
        f"{first.param}: the router does not decide this question{why}, and neither the active"
        f" model nor a fallback model is a decision model. {_decision_models(config)} An"
        " administrator can select one with POST /v1/models/select or add one to `fallback_models`;"
        " or send its id as `model`.",
        code="no_decision_model",
        param=first.param,
    )


def _decision_models(config: RoutingConfig) -> str:
    known = [
        model.id
        for model in config.models.values()
        if model.type == "decision" and model.status == "available"
    ]
    if not known:
        return "This installation has no decision model that you may use."
    return f"Decision models: {', '.join(known[:_NAMED_IN_MESSAGE])}."


def _by_bare_name(config: RoutingConfig, name: str) -> Model | None:
    """By the last part of the id, as System One's clients name the models."""
    known = [each for each in config.models.values() if each.type == "decision"]
    return next((each for each in known if each.base_model.rpartition("/")[2] == name), None)
