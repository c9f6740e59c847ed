"""A call of the embedding model, for a query or for the labels of a training: with retries, the
circuit breaker and the accounting of any other model."""

from collections.abc import Sequence
from dataclasses import replace

from edgeneuro.classifier.embedding import MAX_WIDTH, quantised
from edgeneuro.domain.decision import GatewayTrace
from edgeneuro.domain.model import Model
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.trace import Trace
from edgeneuro.errors import InvalidOutputError, StaleAnswerError, UpstreamError
from edgeneuro.gateway.chain import ModelAttempt
from edgeneuro.gateway.interface import EmbeddingAnswer, EmbeddingRequest
from edgeneuro.services import Services
from edgeneuro.synapsecore.ranking import NO_CALL, ModelCallResult


async def embed(
    services: Services,
    config: RoutingConfig,
    model: Model,
    texts: Sequence[str],
    *,
    width: int | None,
    budget_ms: int,
    cache_key: str | None,
    metadata: dict[str, str],
    trace: Trace | None = None,
) -> tuple[list[bytes] | None, ModelCallResult]:
    """The vectors as the second classifier reads them; None if the call failed, with the failure in
    the result. Vectors of another `width` than this are a failure too."""
    chain = services.new_chain(config, purpose="embedding", budget_ms=budget_ms)
    trace_of_gateway = GatewayTrace()
    skip_cache = False

    async def attempt(current: ModelAttempt) -> list[bytes]:
        nonlocal skip_cache, trace_of_gateway
        request = EmbeddingRequest(
            model=model.base_model,
            provider=config.providers.get(model.provider),
            texts=tuple(texts),
            timeout_ms=current.timeout_ms,
            cache_key=None if skip_cache else cache_key,
            cache_ttl_seconds=config.cache_ttl_seconds,
            metadata=metadata,
            collect_payload=config.stores_texts,
            trace=trace,
        )
        try:
            answer = await services.gateway.embed(request)
        except StaleAnswerError:
            skip_cache = True
            raise
        current.engine = answer.engine
        chain.record_usage(model, answer.usage, answer.trace)
        trace_of_gateway = answer.trace
        return _read(answer, model, width)

    vectors: list[bytes] | None = None
    failure: UpstreamError | None = None
    try:
        vectors = await chain.ask((model,), attempt)
    except UpstreamError as error:
        failure = error
    call = replace(
        NO_CALL,
        failure=failure,
        attempts=chain.attempts,
        usage=chain.usage,
        cost_usd=chain.cost_usd,
        spent_usd=chain.spent_usd,
        usage_unknown=tuple(chain.usage_unknown),
        upstream_ms=chain.upstream_ms,
        trace=trace_of_gateway,
    )
    return vectors, call


def _read(answer: EmbeddingAnswer, model: Model, width: int | None) -> list[bytes]:
    found = len(answer.vectors[0])
    if found > MAX_WIDTH:
        raise InvalidOutputError(
            f"{model.id} returns {found} numbers, and at most {MAX_WIDTH} are used."
        )
    if width not in (None, found):
        raise InvalidOutputError(
            f"{model.id} returned {found} numbers, and the classifier was trained with {width}:"
            " train it again."
        )
    return [quantised(vector) for vector in answer.vectors]
