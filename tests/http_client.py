"""How the tests call a running product over HTTP."""

import ssl
from collections.abc import Mapping
from functools import cache

import httpx


def http_client(base_url: str, key: str | None = None, *, timeout: float = 30) -> httpx.Client:
    headers: Mapping[str, str] = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.Client(
        base_url=base_url,
        headers=headers,
        timeout=timeout,
        # workerd closes a connection that is idle for 5 s; a request must not meet that.
        limits=httpx.Limits(keepalive_expiry=2),
        verify=_trusted_certificates(),
    )


@cache
def _trusted_certificates() -> ssl.SSLContext:
    """httpx reads them for each client, which takes 40 ms."""
    return httpx.create_ssl_context()
