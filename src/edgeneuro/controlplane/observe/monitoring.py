"""What monitoring reads: whether the Worker runs, and the counters of this isolate."""

import hashlib
from functools import lru_cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edgeneuro import __version__
from edgeneuro.call import Call
from edgeneuro.isolate.metrics import family
from edgeneuro.store.schema_version import SchemaState
from edgeneuro.web.openapi import openapi_document
from edgeneuro.web.response import JSON, Response
from edgeneuro.web.routing import RouteTable

_MAX_AGE_SECONDS = 3_600
_SCHEMA_SECONDS = 1.0  # that /healthz waits for D1


class SchemaVersions(BaseModel):
    """`needed` by this version of EdgeNeuro, and that of the `database`, as the isolate read it in
    the last seconds; null if it could not. `state` compares the database with what is needed."""

    needed: int
    database: int | None
    state: SchemaState
    changes_allowed: bool


class Health(BaseModel):
    model_config = ConfigDict(serialize_by_alias=True)

    status: Literal["ok"] = "ok"
    version: str = __version__
    schema_: SchemaVersions = Field(serialization_alias="schema")


async def show_health(call: Call) -> Health:
    """Check whether the Worker runs, and whether the database has the schema that it needs. It is
    ok without a database and models too."""
    schema = await call.services.schema.current(seconds=_SCHEMA_SECONDS)
    return Health(
        schema_=SchemaVersions(
            needed=schema.needed,
            database=schema.database,
            state=schema.state,
            changes_allowed=schema.changes_allowed,
        )
    )


async def show_openapi(call: Call) -> Response:
    """Read this document. It changes only with a deployment: clients may cache it for an hour, and
    `If-None-Match` with its ETag checks whether it changed."""
    document, etag = _document(call.table)
    headers = {"etag": etag, "cache-control": f"public, max-age={_MAX_AGE_SECONDS}"}
    return Response(200, document, {"content-type": JSON, **headers})


@lru_cache(maxsize=1)
def _document(table: RouteTable) -> tuple[str, str]:
    """The text and its ETag, made once an isolate: it takes about a tenth of a second of CPU."""
    document = openapi_document(table, __version__)
    return document, f'"{hashlib.sha256(document.encode()).hexdigest()[:32]}"'


# The counters of this isolate, for Prometheus.

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def show_metrics(call: Call) -> Response:
    """Read the counters of this isolate in Prometheus' text format. GET /v1/analytics has the sums
    over all isolates."""
    services = call.services
    text = services.metrics.text()
    text += family(
        "edgeneuro_failures_total",
        "Failures that no caller saw, by what failed.",
        "counter",
        "what",
        sorted(services.failures.counts.items()),
    )
    text += family(
        "edgeneuro_circuit_open",
        "1 for a model whose circuit breaker is open, 0 for one that failed lately.",
        "gauge",
        "model",
        sorted((name, int(is_open)) for name, is_open in services.breakers.states()),
    )
    text += family(
        "edgeneuro_circuit_opened_total",
        "How often the circuit breaker of a model has opened.",
        "counter",
        "model",
        sorted(services.breakers.opened.items()),
    )
    text += family(
        "edgeneuro_classifier_loaded",
        "1 for each classifier that this isolate has loaded, by its version.",
        "gauge",
        "version",
        sorted((each.version, 1) for each in services.classifier.loaded),
    )
    text += family(
        "edgeneuro_build_info",
        "1, by the running version.",
        "gauge",
        "version",
        [(__version__, 1)],
    )
    return Response(200, text, {"content-type": _CONTENT_TYPE})
