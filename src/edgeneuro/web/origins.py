"""Where requests may come from: the hosts of ALLOWED_HOSTS, and for browsers the origins of
ALLOWED_ORIGINS (CORS)."""

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from edgeneuro.errors import PermissionDeniedError
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
    " etag, x-edgeneuro-bookmark,"
    f" traceparent, {_RATE_LIMIT}"
)
_ALLOWED = (
    "authorization, api-key, x-api-key, content-type, idempotency-key, traceparent, x-request-id"
)
# A list of header names, as browsers send it: OpenAI's client alone adds ten x-stainless-… headers.
_HEADER_NAMES = re.compile(
    r"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*"
)
_MAX_HEADER_NAMES_LENGTH = 2_000


def cors_headers(request: Request, allowed_origins: Collection[str]) -> dict[str, str]:
    """The headers for the response. None for an origin that is not allowed: the browser then blocks
    the response."""
    if not allowed_origins:
        return {}
    headers = {"vary": "origin"}
    origin = request.header("origin")
    if origin is not None and _is_allowed(origin, allowed_origins):
        headers["access-control-allow-origin"] = origin
        headers["access-control-expose-headers"] = _EXPOSED
    return headers


def preflight_response(
    request: Request, methods: str, allowed_origins: Collection[str]
) -> Response:
    """An allowed origin may send every header that its browser asks for: the key decides what the
    request may do. Other origins get none of these headers."""
    origin = request.header("origin")
    if origin is None or not _is_allowed(origin, allowed_origins):
        return Response(204)
    requested = request.header("access-control-request-headers") or ""
    is_list = len(requested) <= _MAX_HEADER_NAMES_LENGTH and _HEADER_NAMES.fullmatch(requested)
    return Response(
        204,
        headers={
            "access-control-allow-methods": methods,
            "access-control-allow-headers": requested if is_list else _ALLOWED,
            "access-control-max-age": "86400",
        },
    )


def _is_allowed(origin: str, allowed_origins: Collection[str]) -> bool:
    return origin in allowed_origins or "*" in allowed_origins


def require_host(host: str | None, allowed: tuple[str, ...]) -> None:
    """`host` is the header, `allowed` are names without ports; an empty tuple allows every host.
    Raises PermissionDeniedError.

    A page of another site can make its own name resolve to 127.0.0.1 and then counts as the same
    site as a local installation (DNS rebinding). The header still has that name.
    """
    if allowed and _name(host) not in allowed:
        raise PermissionDeniedError(
            f"This installation is called as {', '.join(allowed)} only. Use one of these, or add"
            " the host to ALLOWED_HOSTS.",
            code="host_not_allowed",
        )


def _name(host: str | None) -> str | None:
    try:
        name = urlsplit(f"//{host or ''}").hostname
    except ValueError:  # brackets without an address
        return None
    return f"[{name}]" if name is not None and ":" in name else name
