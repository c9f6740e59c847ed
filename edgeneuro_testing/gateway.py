"""A scripted gateway: the fake for tests of everything that calls models."""

from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

from edgeneuro.domain.catalogue import BaseModelFacts
from edgeneuro.domain.decision import GatewayTrace
from edgeneuro.errors import UpstreamError
from edgeneuro.gateway.interface import (
    DecisionAnswer,
    DecisionRequest,
    Delta,
    EmbeddingAnswer,
    EmbeddingRequest,
    ModelAnswer,
    ModelRequest,
    ModelStream,
)


@dataclass(frozen=True)
class Streamed:
    """A streamed answer; an error among the parts ends it."""

    parts: Sequence[Delta | Exception]
    trace: GatewayTrace = field(default_factory=GatewayTrace)


@dataclass(frozen=True)
class OneOf:
    """The answer to the request with this index, of several in one call."""

    place: int
    answer: ModelAnswer


Step = ModelAnswer | DecisionAnswer | EmbeddingAnswer | Streamed | OneOf | Exception


class ScriptedGateway:
    """Returns the enqueued steps in order. `requests` are the requests for text that it got,
    `decision_requests` those to decision models, `embedding_requests` those to embedding models,
    `schema_requests` the models whose schema it was asked for, `stopped` the number of streams that
    were closed before their end, `patched` the feedback for its log, and `patch_failure` the error
    to raise for feedback. `embedder`, if set, makes all embeddings. `schemas` says by id which
    models are decision models. Without a next step, or with one of another kind than the call, it
    raises UpstreamError."""

    def __init__(self, *script: Step) -> None:
        self._script = deque(script)
        self.requests: list[ModelRequest] = []
        self.decision_requests: list[DecisionRequest] = []
        self.embedding_requests: list[EmbeddingRequest] = []
        self.catalogue: list[BaseModelFacts] | UpstreamError = []
        self.embedder: Callable[[EmbeddingRequest], EmbeddingAnswer] | None = None
        self.schemas: dict[str, bool | UpstreamError | None] = {}
        self.schema_requests: list[str] = []
        self.patched: list[tuple[str, int, int | None]] = []
        self.patch_failure: UpstreamError | None = None
        self.stopped = 0

    def enqueue(self, *script: Step) -> None:
        self._script.extend(script)

    async def run(self, request: ModelRequest, /) -> ModelAnswer:
        step = self._next(request)
        if not isinstance(step, ModelAnswer):
            raise UpstreamError("The script has a stream here.")
        return step

    async def decide(self, request: DecisionRequest, /) -> DecisionAnswer:
        self.decision_requests.append(request)
        step = self._step()
        if not isinstance(step, DecisionAnswer):
            raise UpstreamError("The script has no decision here.")
        return step

    async def embed(self, request: EmbeddingRequest, /) -> EmbeddingAnswer:
        self.embedding_requests.append(request)
        if self.embedder is not None:
            return self.embedder(request)
        step = self._step()
        if not isinstance(step, EmbeddingAnswer):
            raise UpstreamError("The script has no embeddings here.")
        return step

    async def stream(self, request: ModelRequest, /) -> ModelStream:
        step = self._next(request)
        if not isinstance(step, Streamed):
            raise UpstreamError("The script has no stream here.")
        deltas = self._play(step)
        await anext(deltas)
        return ModelStream(deltas=deltas, trace=step.trace)

    def supports_batch_fallback(self, request: ModelRequest, /) -> bool:
        return request.provider is not None and request.provider.kind != "workers-ai"

    async def run_any(self, requests: Sequence[ModelRequest], /) -> tuple[int, ModelAnswer]:
        self.requests += requests[:-1]
        step = self._next(requests[-1])
        if not isinstance(step, OneOf):
            raise UpstreamError("The script has no answer of one of several here.")
        return step.place, step.answer

    async def patch_log(self, log_id: str, /, *, feedback: int, score: int | None = None) -> None:
        self.patched.append((log_id, feedback, score))
        if self.patch_failure is not None:
            raise self.patch_failure

    def _next(
        self, request: ModelRequest
    ) -> ModelAnswer | DecisionAnswer | EmbeddingAnswer | Streamed | OneOf:
        self.requests.append(request)
        return self._step()

    def _step(self) -> ModelAnswer | DecisionAnswer | EmbeddingAnswer | Streamed | OneOf:
        if not self._script:
            raise UpstreamError("The script has ended.")
        step = self._script.popleft()
        if isinstance(step, Exception):
            raise step
        return step

    async def _play(self, step: Streamed) -> AsyncGenerator[Delta, None]:
        """The first item is empty: closed after it, a stream counts as stopped."""
        try:
            yield Delta()
            for part in step.parts:
                if isinstance(part, Exception):
                    raise part
                yield part
        except GeneratorExit:
            self.stopped += 1
            raise

    async def models(self) -> list[BaseModelFacts]:
        if isinstance(self.catalogue, UpstreamError):
            raise self.catalogue
        return self.catalogue

    async def is_decision_model(self, model: str, /) -> bool | None:
        self.schema_requests.append(model)
        found = self.schemas.get(model)
        if isinstance(found, UpstreamError):
            raise found
        return found
