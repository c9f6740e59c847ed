"""The counters of this isolate, for Prometheus."""

from edgeneuro import __version__
from edgeneuro.call import Call
from edgeneuro.isolate.metrics import family
from edgeneuro.web.response import Response

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
        "1 for a model that is passed over since it kept failing, 0 for one that failed lately.",
        "gauge",
        "model",
        sorted((name, int(is_open)) for name, is_open in services.breakers.states()),
    )
    text += family(
        "edgeneuro_circuit_opened_total",
        "How often a model has come to be passed over.",
        "counter",
        "model",
        sorted(services.breakers.opened.items()),
    )
    loaded = services.classifier.loaded
    text += family(
        "edgeneuro_classifier_loaded",
        "1 for the classifier that this isolate asks, by its version.",
        "gauge",
        "version",
        [] if loaded is None else [(loaded.version, 1)],
    )
    text += family(
        "edgeneuro_build_info",
        "1, by the version that runs.",
        "gauge",
        "version",
        [(__version__, 1)],
    )
    return Response(200, text, {"content-type": _CONTENT_TYPE})
