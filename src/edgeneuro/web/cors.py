"""Cross-origin requests: only the origins that ALLOWED_ORIGINS lists may call from a browser."""

from collections.abc import Collection

from edgeneuro.web.request import Request
from edgeneuro.web.response import Response

_RATE_LIMIT = ", ".join(
    f"x-ratelimit-{what}-{unit}"
    for unit in ("requests", "tokens", "cost-usd")
    for what in ("limit", "remaining", "reset")
)
_EXPOSED = (
    "x-request-id, x-edgeneuro-agent, x-edgeneuro-layer, x-edgeneuro-decision-id,"
    " x-edgeneuro-model, server-timing, retry-after, x-should-retry, idempotent-replayed,"
    f" traceparent, {_RATE_LIMIT}"
)
_ALLOWED = "authorization, content-type, idempotency-key, traceparent, x-request-id"


def cors_headers(request: Request, allowed_origins: Collection[str]) -> dict[str, str]:
    """The headers for the answer. Nothing for an origin that is not allowed: the browser then
    refuses."""
    if not allowed_origins:
        return {}
    headers = {"vary": "origin"}
    origin = request.header("origin")
    if origin is not None and (origin in allowed_origins or "*" in allowed_origins):
        headers["access-control-allow-origin"] = origin
        headers["access-control-expose-headers"] = _EXPOSED
    return headers


def preflight_response(methods: str) -> Response:
    return Response(
        204,
        headers={
            "access-control-allow-methods": methods,
            "access-control-allow-headers": _ALLOWED,
            "access-control-max-age": "86400",
        },
    )
