"""What a model is that is registered or changed: its type, and what that type can have."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from edgeneuro.domain.catalogue import BaseModelFacts, base_model, facts_of, lora_model
from edgeneuro.domain.model import OWN_PROVIDER, Model, ModelRegister
from edgeneuro.errors import InvalidRequestError, UpstreamError
from edgeneuro.gateway.interface import Gateway

_GIVEN = ("aliases", "context_window", "pricing", "supports_lora", "json_mode", "logprobs")
_OF_TEXT = ("supports_lora", "json_mode", "logprobs")
_WHAT = {
    "decision": "a decision model answers questions",
    "embedding": "an embedding model turns texts into vectors",
}
_MAX_SCHEMAS = 20  # one request each


def new_model(body: ModelRegister, base: Model | None) -> Model:
    """`base` is the model that `base_model` names, if there is one. Raises InvalidRequestError."""
    given = {name: value for name in _GIVEN if (value := getattr(body, name)) is not None}
    if body.type == "lora":
        return _adapter(body, base, given)
    if body.adapter is not None:
        raise InvalidRequestError(
            f"adapter: only a model of type 'lora' has one, not {body.type!r}; leave it out.",
            param="adapter",
        )
    if body.type in ("decision", "embedding"):
        return _named_model(body, base, given)
    if body.base_model not in (None, body.id):
        raise InvalidRequestError(
            "base_model: a base model stands on no other; leave base_model and adapter out.",
            param="base_model",
        )
    return base_model(facts_of(body.id)).model_copy(update=given)


def changed_model(before: Model, given: Mapping[str, Any]) -> Model:
    """Raises InvalidRequestError for what the model's type cannot be or have."""
    to = given.get("type", before.type)
    if to != before.type:
        if before.type == "lora":
            raise InvalidRequestError(
                f"type: {before.id!r} is an adapter and stays one.", param="type"
            )
        if before.provider != OWN_PROVIDER:
            raise InvalidRequestError(
                "type: which models of a provider are decision models, its `decision_models` say;"
                ' those with "embed" in their names are embedding models.'
                f" Change them with PATCH /v1/providers/{before.provider}.",
                param="type",
            )
    if to not in ("decision", "embedding"):
        return before.model_copy(update=dict(given))
    _refuse_what_text_models_have(given, to)
    return before.model_copy(update={**given, **dict.fromkeys(_OF_TEXT, False)})


async def with_types(
    gateway: Gateway, known: Mapping[str, Model], facts: Sequence[BaseModelFacts]
) -> list[BaseModelFacts]:
    """The catalogue's models, with what they are: the catalogue does not say which of them are
    decision models. New ones are looked up, a bounded number at a time; what was found before
    stays."""
    found: list[BaseModelFacts] = []
    left = _MAX_SCHEMAS
    for each in facts:
        decision: bool | None = each.decision
        if each.id in known:
            decision = decision or known[each.id].type == "decision"
        elif not decision and not each.embedding and left > 0:
            left -= 1
            try:
                decision = await gateway.is_decision_model(each.id)
            except UpstreamError:
                decision = None
            if decision is None:  # no credentials, or no answer: the next one gets none either
                left = 0
        found.append(replace(each, decision=bool(decision)))
    return found


def _adapter(body: ModelRegister, base: Model | None, given: dict[str, Any]) -> Model:
    if base is None:
        raise InvalidRequestError(
            "base_model: name the base model that the adapter was trained on.",
            code="missing_field",
            param="base_model",
        )
    model = lora_model(body.id, base, adapter=body.adapter).model_copy(update=given)
    if base.type in _WHAT or not model.supports_lora:
        what = _WHAT.get(base.type, "").partition(" model")[0]
        kind = f" is {what} model, which" if what else ""
        raise InvalidRequestError(
            f"base_model: {base.id!r}{kind} takes no LoRA adapters.",
            code="lora_unsupported",
            param="base_model",
        )
    return model


def _named_model(body: ModelRegister, base: Model | None, given: dict[str, Any]) -> Model:
    """A decision or embedding model."""
    if base is not None and base.type != body.type:
        raise InvalidRequestError(
            f"base_model: {base.id!r} is a model of type {base.type!r}. If it is of type"
            f" {body.type!r}, change its `type` with PATCH; else name another.",
            param="base_model",
        )
    if base is not None and base.provider != OWN_PROVIDER:
        raise InvalidRequestError(
            f"base_model: {base.id!r} is a model of the provider {base.provider!r}. Give it another"
            " name with `aliases`: PATCH /v1/models/{model_id}.",
            param="base_model",
        )
    _refuse_what_text_models_have(given, body.type)
    name = body.base_model or body.id
    facts = replace(
        facts_of(name if base is None else base.base_model),
        decision=body.type == "decision",
        embedding=body.type == "embedding",
    )
    return base_model(facts).model_copy(update={**given, "id": body.id})


def _refuse_what_text_models_have(given: Mapping[str, Any], model_type: str) -> None:
    for name in _OF_TEXT:
        if given.get(name):
            raise InvalidRequestError(
                f"{name}: {_WHAT[model_type]} and writes no text; leave this out.",
                param=name,
            )
