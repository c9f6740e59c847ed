"""The two transports that carry a request to a model: the AI binding of the Workers runtime, and
HTTPS. HTTPS reaches the vendors' endpoints of AI Gateway, hosts that AI Gateway does not know, and
Cloudflare's REST API. client.py reads the responses of both."""

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from edgeneuro.domain.images import Images
from edgeneuro.domain.session import SESSION_HEADER
from edgeneuro.domain.url import require_public_https
from edgeneuro.errors import UpstreamNotConfiguredError
from edgeneuro.gateway.bigints import nearest_number, without_bigints
from edgeneuro.gateway.cloudflare_api import CloudflareApi
from edgeneuro.gateway.decisions.wire import decision_body
from edgeneuro.gateway.embeddings import embedding_body
from edgeneuro.gateway.http import Fetch, HttpResponse, SizedBody
from edgeneuro.gateway.interface import (
    DecisionRequest,
    EmbeddingRequest,
    ModelRequest,
    UpstreamRequest,
)
from edgeneuro.gateway.request_body import text_generation_inputs
from edgeneuro.gateway.vendors import (
    authorization,
    body_of,
    direct_url,
    gateway_step,
    takes_native_input,
)
from edgeneuro.settings import Settings

_JSON = {"content-type": "application/json"}


class Transport(Protocol):
    """Raises errors.UpstreamError if something is not configured; any other exception means that
    the upstream could not be reached."""

    async def send(self, request: ModelRequest, /, *, stream: bool) -> HttpResponse: ...

    async def decide(self, request: DecisionRequest, /) -> HttpResponse: ...

    async def embed(self, request: EmbeddingRequest, /) -> HttpResponse: ...

    async def models(self, query: dict[str, Any], /) -> Any:
        """A page of Workers AI's catalogue."""

    async def patch_log(self, log_id: str, fields: dict[str, int], /) -> None: ...


class AiBinding(Protocol):
    """env.AI. `run` returns the raw response, which has the log id of this call. The binding's own
    property has the log id of the last call, which may be another request's."""

    async def run(
        self, model: str, inputs: dict[str, Any], options: dict[str, Any], /
    ) -> HttpResponse: ...

    async def models(self, query: dict[str, Any], /) -> Any: ...

    async def patch_log(self, gateway_id: str, log_id: str, fields: dict[str, int], /) -> None: ...


class BindingTransport:
    """Without a gateway id Workers AI is called directly."""

    def __init__(self, binding: AiBinding, *, gateway_id: str) -> None:
        self._binding = binding
        self._gateway_id = gateway_id

    async def send(self, request: ModelRequest, /, *, stream: bool) -> HttpResponse:
        inputs = text_generation_inputs(request, stream=stream)
        # A bound in a tool's schema has to stay a number.
        inputs = request.images.restored(without_bigints(inputs, nearest_number))
        return await self._binding.run(request.model, inputs, self._options(request))

    async def decide(self, request: DecisionRequest, /) -> HttpResponse:
        inputs = decision_body(request)
        # A model reads the state: of an id it gets all digits.
        inputs["state"] = without_bigints(inputs["state"], str)
        inputs = request.images.restored(inputs)
        return await self._binding.run(request.model, inputs, self._options(request))

    async def embed(self, request: EmbeddingRequest, /) -> HttpResponse:
        inputs = embedding_body(request, native=True)
        return await self._binding.run(request.model, inputs, self._options(request))

    async def models(self, query: dict[str, Any], /) -> Any:
        return await self._binding.models(query)

    async def patch_log(self, log_id: str, fields: dict[str, int], /) -> None:
        if not self._gateway_id:
            raise UpstreamNotConfiguredError(
                "No gateway keeps logs; set AI_GATEWAY_URL in wrangler.toml."
            )
        await self._binding.patch_log(self._gateway_id, log_id, fields)

    def _options(self, request: UpstreamRequest) -> dict[str, Any]:
        if not self._gateway_id:
            return {}
        gateway: dict[str, Any] = {
            "id": self._gateway_id,
            "metadata": request.metadata,
            "requestTimeoutMs": request.timeout_ms,
        }
        # Always one of the two: by default AI Gateway may use the body as the cache key.
        if request.cache_key is None:
            gateway["skipCache"] = True
        else:
            gateway |= {"cacheKey": request.cache_key, "cacheTtl": request.cache_ttl_seconds}
        headers = log_headers(request)
        return {"gateway": gateway, **({"extraHeaders": headers} if headers else {})}


class HttpsTransport:
    def __init__(
        self, fetch: Fetch, settings: Settings, *, secret: Callable[[str], str | None]
    ) -> None:
        self._fetch = fetch
        self._settings = settings
        self._secret = secret
        self._api = CloudflareApi(fetch, settings, secret=secret)

    async def send(self, request: ModelRequest, /, *, stream: bool) -> HttpResponse:
        return await self._send(request, body_of(request, stream=stream))

    async def decide(self, request: DecisionRequest, /) -> HttpResponse:
        return await self._send(request, decision_body(request))

    async def embed(self, request: EmbeddingRequest, /) -> HttpResponse:
        native = takes_native_input(request)
        return await self._send(request, embedding_body(request, native=native))

    async def _send(self, request: UpstreamRequest, body: dict[str, Any]) -> HttpResponse:
        headers = {**_JSON, **self._authorization(request)}
        step = gateway_step(request)
        if step is None:
            if request.trace is not None:
                headers["traceparent"] = request.trace.traceparent
            return await self._post(direct_url(request), headers, body, request.images)
        headers |= self._gateway_credential()
        headers |= log_headers(request) | metadata_headers(request) | cache_headers(request)
        headers["cf-aig-request-timeout"] = str(request.timeout_ms)
        url = f"{self._gateway_url()}/{'/'.join(step)}"
        return await self._post(url, headers, body, request.images)

    def supports_batch_fallback(self, request: ModelRequest, /) -> bool:
        """Whether AI Gateway supports the provider and its credential is configured, so that the
        request may be one of those of `send_any`."""
        try:
            self._authorization(request)
        except UpstreamNotConfiguredError:
            return False
        return gateway_step(request) is not None

    async def send_any(self, requests: Sequence[ModelRequest], /) -> HttpResponse:
        """AI Gateway calls them in order until one answers; the header cf-aig-step has its index.
        The call has the metadata and the trace of the first request."""
        headers = {**_JSON, **self._gateway_credential()}
        headers |= log_headers(requests[0]) | metadata_headers(requests[0])
        if not all(request.collect_payload for request in requests):
            headers["cf-aig-collect-log-payload"] = "false"
        steps = [self._universal_step(request) for request in requests]
        return await self._post(self._gateway_url(), headers, steps, requests[0].images)

    async def models(self, query: dict[str, Any], /) -> Any:
        return await self._api.call("GET", f"ai/models/search?{urlencode(query)}")

    async def schema(self, model: str, /) -> Any:
        """{"input", "output"} of a model of Workers AI; None without the credentials for
        Cloudflare's API."""
        try:
            self._api.require_configured()
        except UpstreamNotConfiguredError:
            return None
        return await self._api.call("GET", f"ai/models/schema?{urlencode({'model': model})}")

    async def patch_log(self, log_id: str, fields: dict[str, int], /) -> None:
        gateway = quote(self._settings.gateway_id, safe="")
        path = f"ai-gateway/gateways/{gateway}/logs/{quote(log_id, safe='')}"
        await self._api.call("PATCH", path, json.dumps(fields).encode())

    async def _post(
        self, url: str, headers: dict[str, str], body: Any, images: Images
    ) -> HttpResponse:
        try:  # at every call: a row may have been edited in the database
            require_public_https(url)
        except ValueError as error:
            raise UpstreamNotConfiguredError(f"The upstream's address {error}.") from error
        text = json.dumps(body)
        if not images.placeholders:
            return await self._fetch("POST", url, headers, text.encode())
        sent = SizedBody(images.size(text), images.chunks(text))
        return await self._fetch("POST", url, headers, sent)

    def _authorization(self, request: UpstreamRequest) -> dict[str, str]:
        return authorization(request, self._secret, hosts=self._settings.provider_hosts)

    def _universal_step(self, request: ModelRequest) -> dict[str, Any]:
        step = gateway_step(request)
        if step is None:
            raise UpstreamNotConfiguredError("AI Gateway does not know this provider's host.")
        headers = {**_JSON, **self._authorization(request), **cache_headers(request)}
        return {
            "provider": step[0],
            "endpoint": step[1],
            "headers": headers,
            "query": body_of(request, stream=False),
            "config": {"requestTimeout": request.timeout_ms},
        }

    def _gateway_url(self) -> str:
        if not self._settings.ai_gateway_url:
            raise UpstreamNotConfiguredError("AI_GATEWAY_URL is empty; set it in wrangler.toml.")
        return self._settings.ai_gateway_url.rstrip("/")

    def _gateway_credential(self) -> dict[str, str]:
        token = self._secret("AI_GATEWAY_TOKEN")
        return {"cf-aig-authorization": f"Bearer {token}"} if token else {}


def log_headers(request: UpstreamRequest) -> dict[str, str]:
    """For AI Gateway's log: whether it stores texts, the trace, and the session."""
    headers: dict[str, str] = {}
    if not request.collect_payload:
        headers["cf-aig-collect-log-payload"] = "false"
    if request.trace is not None:
        headers["cf-aig-otel-trace-id"] = request.trace.trace_id
        headers["cf-aig-otel-parent-span-id"] = request.trace.span_id
    if request.session is not None:
        headers[SESSION_HEADER] = request.session
    return headers


def metadata_headers(request: UpstreamRequest) -> dict[str, str]:
    if not request.metadata:
        return {}
    return {"cf-aig-metadata": json.dumps(request.metadata, separators=(",", ":"))}


def cache_headers(request: UpstreamRequest) -> dict[str, str]:
    """Always one of the two: by default AI Gateway may use the body as the cache key."""
    if request.cache_key is None:
        return {"cf-aig-skip-cache": "true"}
    return {
        "cf-aig-cache-key": json.dumps(request.cache_key)[1:-1],  # a header's value is ASCII
        "cf-aig-cache-ttl": str(request.cache_ttl_seconds),
    }
