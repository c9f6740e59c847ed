"""Requests to vendors over HTTPS: the address, the body and the credential."""

from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from edgeneuro.domain.provider import (
    HOSTS_VAR,
    SECRET_PREFIX,
    Kind,
    is_provider_secret,
    may_send_secret,
)
from edgeneuro.errors import UpstreamNotConfiguredError
from edgeneuro.gateway.interface import (
    DecisionRequest,
    EmbeddingRequest,
    ModelRequest,
    UpstreamRequest,
)
from edgeneuro.gateway.request_body import (
    chat_body,
    seed_in_range,
    text_generation_inputs,
    text_generation_messages,
)
from edgeneuro.gateway.upstream_errors import WORKERS_AI

CLOUDFLARE_TOKEN = "CLOUDFLARE_API_TOKEN"
# The path of each vendor's OpenAI-compatible endpoint at AI Gateway.
_CHAT_PATHS: dict[Kind, str] = {
    "openai": "chat/completions",
    "groq": "chat/completions",
    "anthropic": "v1/chat/completions",
}
_EMBEDDING_PATHS: dict[Kind, str] = {"openai": "embeddings"}
_DECISION_PATHS: dict[Kind, str] = {"openai": "decisions"}
Secret = Callable[[str], str | None]


def vendor_name(request: UpstreamRequest) -> str:
    """For messages."""
    return WORKERS_AI if request.provider is None else f"Provider {request.provider.id!r}"


def is_own_workers_ai(request: UpstreamRequest) -> bool:
    """Whether the AI binding can carry it: the provider has no credential or address of its own."""
    provider = request.provider
    if provider is None:
        return True
    return provider.kind == "workers-ai" and not provider.secret and not provider.base_url


def gateway_step(request: UpstreamRequest) -> tuple[str, str] | None:
    """AI Gateway's names of provider and endpoint; None for a host that it does not support."""
    provider = request.provider
    if provider is not None and provider.base_url:
        return None
    kind = _kind(request)
    if kind == "workers-ai":
        return kind, _path_of(request.model)
    path = _paths_of(request).get(kind)
    return None if path is None else (kind, path)


def _paths_of(request: UpstreamRequest) -> dict[Kind, str]:
    if isinstance(request, EmbeddingRequest):
        return _EMBEDDING_PATHS
    return _DECISION_PATHS if isinstance(request, DecisionRequest) else _CHAT_PATHS


def takes_native_input(request: UpstreamRequest) -> bool:
    """Whether the body is in Workers AI's own format: of another account it is in OpenAI's."""
    return _kind(request) == "workers-ai" and gateway_step(request) is not None


def direct_url(request: UpstreamRequest) -> str:
    base_url = None if request.provider is None else request.provider.base_url
    if not base_url:
        raise UpstreamNotConfiguredError(f"{vendor_name(request)} has no base_url; set one.")
    parts = urlsplit(base_url)
    path, kind = parts.path.rstrip("/"), _kind(request)
    if isinstance(request, EmbeddingRequest):
        path = f"{path}/embeddings"
    elif not isinstance(request, DecisionRequest):
        path = f"{path}/chat/completions"
    elif kind == "workers-ai":  # of another account; /v1 has OpenAI's paths only
        path = f"{path.removesuffix('/v1')}/run/{_path_of(request.model)}"
    else:
        path = f"{path}/{'systemone' if kind == 'systemone' else 'decisions'}"
    return urlunsplit(parts._replace(path=path))


def body_of(request: ModelRequest, *, stream: bool) -> dict[str, Any]:
    kind = _kind(request)
    if takes_native_input(request):
        return text_generation_inputs(request, stream=stream)
    if request.adapter is not None and kind != "workers-ai":
        raise UpstreamNotConfiguredError(f"{vendor_name(request)} takes no LoRA adapters.")
    body = chat_body(request, kind, stream=stream)
    if kind == "workers-ai":  # of another account: the same models, in OpenAI's format
        body["messages"] = text_generation_messages(request)
        if isinstance(body.get("seed"), int):
            body["seed"] = seed_in_range(body["seed"])
    return body


def authorization(
    request: UpstreamRequest, secret: Secret, *, hosts: Collection[str]
) -> dict[str, str]:
    """The vendor's credential. A provider that names no secret needs none here: AI Gateway may have
    its key. Which secret may be sent to which of the `hosts` is checked again at every call,
    because a row may be older than the rule, or edited in the database."""
    provider = request.provider
    if provider is not None and provider.secret is not None:
        name = provider.secret
        if not is_provider_secret(name):
            raise UpstreamNotConfiguredError(
                f"{vendor_name(request)} names the secret {name[:64]}, and names of providers'"
                f" secrets begin with {SECRET_PREFIX}. Set the key again with `npx wrangler secret"
                f" put {SECRET_PREFIX}{name[:55]}`, and change the provider's `secret` to it."
            )
        if not may_send_secret(provider.base_url, hosts):
            raise UpstreamNotConfiguredError(
                f"{vendor_name(request)} would send its secret to a host that is not in {HOSTS_VAR}"
                " of wrangler.toml. Add the host of its base_url there."
            )
        return {"authorization": f"Bearer {require_secret(name, secret)}"}
    if is_own_workers_ai(request):
        return {"authorization": f"Bearer {require_secret(CLOUDFLARE_TOKEN, secret)}"}
    return {}


def require_secret(name: str, secret: Secret) -> str:
    value = secret(name)
    if not value:
        raise UpstreamNotConfiguredError(
            f"The secret {name} is not set; run `npx wrangler secret put {name}`."
        )
    return value


def _kind(request: UpstreamRequest) -> Kind:
    return "workers-ai" if request.provider is None else request.provider.kind


def _path_of(model: str) -> str:
    if {".", ".."} & set(model.split("/")):
        raise UpstreamNotConfiguredError("Workers AI has no model of that name.")
    return quote(model, safe="@/:")
