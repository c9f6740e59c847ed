"""A request to an embedding model in the format of its provider, and the vectors that come back.

Contracts: the `text` input of developers.cloudflare.com/workers-ai/models/bge-base-en-v1.5 and its
`data` output; OpenAI's POST /v1/embeddings for all others."""

import math
from collections.abc import Sequence
from typing import Any

from edgeneuro import bounded_json
from edgeneuro.domain.decision import GatewayTrace, Usage
from edgeneuro.errors import InvalidOutputError, UpstreamNotConfiguredError
from edgeneuro.gateway.answers import read_engine, read_usage, unwrapped
from edgeneuro.gateway.interface import EmbeddingAnswer, EmbeddingRequest

MAX_TEXTS = 100  # of one call, Workers AI's limit
MAX_WIDTH = 4_096
# About: Workers AI does not report the tokens of its embedding models.
_BYTES_A_TOKEN, _MARKS = 4, 2


def embedding_body(request: EmbeddingRequest, *, native: bool) -> dict[str, Any]:
    """`native`: in the format of Workers AI. Raises UpstreamNotConfiguredError for a provider that
    has no embedding models."""
    if native:
        return {"text": list(request.texts)}
    kind = "workers-ai" if request.provider is None else request.provider.kind
    if kind in ("anthropic", "systemone"):
        raise UpstreamNotConfiguredError(
            f"A provider of kind {kind!r} has no embedding models; use one of the kinds"
            " 'workers-ai', 'openai' and 'openai-compatible'."
        )
    return {"model": request.model, "input": list(request.texts), "encoding_format": "float"}


def read_embeddings(
    body: bytes, request: EmbeddingRequest, trace: GatewayTrace, *, vendor: str
) -> EmbeddingAnswer:
    """Raises InvalidOutputError for anything but one vector for each text, all of one width and of
    finite numbers that are not all 0; or the error that the body contains."""
    try:
        output = bounded_json.loads(body)
    except bounded_json.InvalidJsonError as error:
        raise InvalidOutputError(f"{vendor}'s answer {error}.") from error
    output = unwrapped(output, vendor=vendor)
    vectors = [_vector(each, vendor) for each in _listed(output, vendor)]
    widths = {len(vector) for vector in vectors}
    if len(vectors) != len(request.texts) or len(widths) != 1:
        raise InvalidOutputError(
            f"{vendor} returned {len(vectors)} vectors of {len(widths)} widths for"
            f" {len(request.texts)} texts."
        )
    usage = read_usage(output)
    if usage is None or usage.total_tokens == 0:
        usage = estimated_usage(request.texts)
    return EmbeddingAnswer(
        vectors=tuple(vectors), usage=usage, trace=trace, engine=read_engine(output)
    )


def estimated_usage(texts: Sequence[str]) -> Usage:
    """About four bytes a token, and two marks for each text."""
    tokens = sum(-(-len(text.encode()) // _BYTES_A_TOKEN) + _MARKS for text in texts)
    return Usage(prompt_tokens=tokens, total_tokens=tokens)


def _listed(output: Any, vendor: str) -> list[Any]:
    match output:
        case {"data": [{"embedding": _}, *_] as listed}:
            found: dict[Any, Any] = {}
            for place, each in enumerate(listed):
                if isinstance(each, dict):
                    found[each.get("index", place)] = each.get("embedding")
            if set(found) == set(range(len(listed))):
                return [found[index] for index in range(len(listed))]
        case {"data": list() as listed}:
            return listed
    raise InvalidOutputError(f"{vendor}'s embeddings are of a shape that is not known.")


def _vector(given: Any, vendor: str) -> list[float]:
    if not isinstance(given, list) or not 0 < len(given) <= MAX_WIDTH:
        raise InvalidOutputError(f"{vendor} returned a vector of no numbers, or of too many.")
    if not all(type(each) in (int, float) and math.isfinite(each) for each in given):
        raise InvalidOutputError(f"{vendor} returned a vector with a value that is no number.")
    if not any(given):
        raise InvalidOutputError(f"{vendor} returned a vector of zeros.")
    return [float(each) for each in given]
