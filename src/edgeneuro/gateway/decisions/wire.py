"""A request to a decision model in the format of its provider, and the response to it."""

from typing import Any

from edgeneuro import bounded_json
from edgeneuro.domain.decision import GatewayTrace, Usage
from edgeneuro.errors import (
    InvalidOutputError,
    UpstreamNotConfiguredError,
    UpstreamRejectedError,
)
from edgeneuro.gateway.answers import read_engine, read_usage, unwrapped
from edgeneuro.gateway.decisions import openai, systemone
from edgeneuro.gateway.interface import DecisionAnswer, DecisionRequest

_OPENAI = ("openai", "openai-compatible")
_SYSTEM_ONE = ("workers-ai", "systemone")


def decision_body(request: DecisionRequest) -> dict[str, Any]:
    """Raises UpstreamNotConfiguredError for a provider whose format is not known, and
    UpstreamRejectedError for an image that is not a data URL."""
    if not all(url.startswith("data:") for url in request.image_urls):
        raise UpstreamRejectedError("Decision models take images as data URLs only.")
    kind = _kind(request)
    if kind in _OPENAI:
        return openai.encode(request)
    if kind not in _SYSTEM_ONE:
        raise UpstreamNotConfiguredError(
            f"A provider of kind {kind!r} has no decision models that are known; use one of the"
            " kinds 'systemone', 'openai' and 'openai-compatible'."
        )
    # Workers AI wants the bare name of the model: "clef" for "@cf/cloudflare/clef".
    bare = request.model.rpartition("/")[2] if kind == "workers-ai" else request.model
    return systemone.encode(request, model=bare)


def read_decision(
    body: bytes, request: DecisionRequest, trace: GatewayTrace, *, vendor: str
) -> DecisionAnswer:
    """Raises InvalidOutputError, or the error that the body contains."""
    try:
        output = bounded_json.loads(body, parse_constant=_no_number)
    except bounded_json.InvalidJsonError as error:
        raise InvalidOutputError(f"{vendor}'s answer {error}.") from error
    output = unwrapped(output, vendor=vendor)
    wire = openai if _kind(request) in _OPENAI else systemone
    answers = wire.decode(output, request.questions)
    if not answers:
        raise InvalidOutputError(f"{vendor} answered none of the questions.")
    return DecisionAnswer(
        answers=answers,
        usage=read_usage(output) or Usage(),
        trace=trace,
        engine=read_engine(output),
    )


def _kind(request: DecisionRequest) -> str:
    return "workers-ai" if request.provider is None else request.provider.kind


def _no_number(name: str) -> float:
    """Python reads NaN and Infinity, which JSON does not have."""
    raise bounded_json.InvalidJsonError(f"holds {name}, which is no number")
