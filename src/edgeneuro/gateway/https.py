"""The way over HTTPS: to the vendors' endpoints of AI Gateway, to hosts that it does not know
directly, and to Cloudflare's REST API."""

import json
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from edgeneuro.domain.images import Images
from edgeneuro.domain.url import require_public_https
from edgeneuro.errors import UpstreamNotConfiguredError
from edgeneuro.gateway.cloudflare_api import CloudflareApi
from edgeneuro.gateway.gateway_headers import cache_headers, log_headers, metadata_headers
from edgeneuro.gateway.http import Fetch, HttpResponse, SizedBody
from edgeneuro.gateway.seam import ModelRequest
from edgeneuro.gateway.vendors import (
    authorization,
    body_of,
    direct_url,
    gateway_step,
)
from edgeneuro.settings import Settings

_JSON = {"content-type": "application/json"}


class HttpsTransport:
    def __init__(
        self, fetch: Fetch, settings: Settings, *, secret: Callable[[str], str | None]
    ) -> None:
        self._fetch = fetch
        self._settings = settings
        self._secret = secret
        self._api = CloudflareApi(fetch, settings, secret=secret)

    async def send(self, request: ModelRequest, /, *, stream: bool) -> HttpResponse:
        body = body_of(request, stream=stream)
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

    def takes(self, request: ModelRequest, /) -> bool:
        """Whether AI Gateway carries it, with a credential that is there, so that it may be one of
        several in `send_any`."""
        try:
            self._authorization(request)
        except UpstreamNotConfiguredError:
            return False
        return gateway_step(request) is not None

    async def send_any(self, requests: Sequence[ModelRequest], /) -> HttpResponse:
        """AI Gateway asks them in order until one answers; the header cf-aig-step says which. The
        first one's metadata and trace are the call's."""
        headers = {**_JSON, **self._gateway_credential()}
        headers |= log_headers(requests[0]) | metadata_headers(requests[0])
        if not all(request.collect_payload for request in requests):
            headers["cf-aig-collect-log-payload"] = "false"
        steps = [self._universal_step(request) for request in requests]
        return await self._post(self._gateway_url(), headers, steps, requests[0].images)

    async def models(self, query: dict[str, Any], /) -> Any:
        return await self._api.call("GET", f"ai/models/search?{urlencode(query)}")

    async def patch_log(self, log_id: str, fields: dict[str, int], /) -> None:
        gateway = quote(self._settings.gateway_id, safe="")
        path = f"ai-gateway/gateways/{gateway}/logs/{quote(log_id, safe='')}"
        await self._api.call("PATCH", path, json.dumps(fields).encode())

    async def _post(
        self, url: str, headers: dict[str, str], body: Any, images: Images
    ) -> HttpResponse:
        try:  # again at every call: a row may have been edited by hand
            require_public_https(url)
        except ValueError as error:
            raise UpstreamNotConfiguredError(f"The upstream's address {error}.") from error
        text = json.dumps(body)
        if not images.placeholders:
            return await self._fetch("POST", url, headers, text.encode())
        sent = SizedBody(images.size(text), images.chunks(text))
        return await self._fetch("POST", url, headers, sent)

    def _authorization(self, request: ModelRequest) -> dict[str, str]:
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
