"""What AI Gateway is told of one request, as its cf-aig-* headers; never the credential."""

import json

from edgeneuro.gateway.seam import ModelRequest


def log_headers(request: ModelRequest) -> dict[str, str]:
    """How the gateway logs it: without texts, and in which trace."""
    headers: dict[str, str] = {}
    if not request.collect_payload:
        headers["cf-aig-collect-log-payload"] = "false"
    if request.trace is not None:
        headers["cf-aig-otel-trace-id"] = request.trace.trace_id
        headers["cf-aig-otel-parent-span-id"] = request.trace.span_id
    return headers


def metadata_headers(request: ModelRequest) -> dict[str, str]:
    if not request.metadata:
        return {}
    return {"cf-aig-metadata": json.dumps(request.metadata, separators=(",", ":"))}


def cache_headers(request: ModelRequest) -> dict[str, str]:
    """Always one or the other: left to itself a gateway may cache by the body alone."""
    if request.cache_key is None:
        return {"cf-aig-skip-cache": "true"}
    return {
        "cf-aig-cache-key": json.dumps(request.cache_key)[1:-1],  # a header's value is ASCII
        "cf-aig-cache-ttl": str(request.cache_ttl_seconds),
    }
