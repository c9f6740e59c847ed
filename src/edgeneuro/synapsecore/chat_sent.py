"""What of a chat's request each upstream is sent: all of them what OpenAI's API has, and the fields
that are not known here those that take fields of their own."""

from collections.abc import Callable
from typing import Any

from edgeneuro.domain.chat import ChatRequest
from edgeneuro.domain.model import Model
from edgeneuro.domain.provider import Kind
from edgeneuro.domain.routing import RoutingConfig

Kinds = Kind | None  # None: an agent's endpoint
# Servers of many makers, each with parameters of its own; what they do not know they ignore.
_TAKE_EVERYTHING: tuple[Kinds, ...] = ("openai-compatible", None)
# The others refuse what they do not know, but for these.
_EXTRA_PARAMETERS: dict[Kinds, tuple[str, ...]] = {
    "workers-ai": ("top_k", "repetition_penalty"),
    "anthropic": ("thinking",),
    "groq": ("include_reasoning", "reasoning_format"),
}
# Of OpenAI's own, those that Workers AI's models refuse as unknown.
_OF_VENDORS = ("reasoning_effort", "verbosity")


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
    """`parameters` are the request's, perhaps with a bound on the answer."""
    if kind in _TAKE_EVERYTHING:
        return {**request.extra_parameters(), **parameters, **request.parameters(extras=True)}
    names = _EXTRA_PARAMETERS.get(kind, ())
    extra = {name: v for name, v in request.extra_parameters().items() if name in names}
    unknown = _OF_VENDORS if kind == "workers-ai" else ()
    return extra | {name: v for name, v in parameters.items() if name not in unknown}


def map_image_urls(
    messages: list[dict[str, Any]], change: Callable[[str], str]
) -> list[dict[str, Any]]:
    """The messages with `change` made to the address of each image; nothing else is copied."""
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
