"""The active model, then its fallback models, all within one time budget. If several requests ask
the same at the same time, the models are called once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from edgeneuro.domain.decision import GatewayTrace
from edgeneuro.domain.model import Model
from edgeneuro.domain.prompt import (
    answer_schema,
    build_messages,
    prompt_version,
    states_confidence,
)
from edgeneuro.errors import (
    InvalidOutputError,
    JsonModeUnmetError,
    StaleAnswerError,
    UpstreamError,
    UpstreamRejectedError,
)
from edgeneuro.gateway.chain import ModelAttempt
from edgeneuro.gateway.interface import DecisionAnswer, DecisionRequest, ModelAnswer, ModelRequest
from edgeneuro.synapsecore.rankers.model_output import read_output
from edgeneuro.synapsecore.rankers.routing_question import (
    DECISION_LAYER,
    read_ranking,
    routing_question,
)
from edgeneuro.synapsecore.ranking import (
    NO_CALL,
    ModelCallResult,
    Ranking,
    Skip,
    Source,
    partial_ranking,
)
from edgeneuro.synapsecore.stored_text import gateway_session
from edgeneuro.synapsecore.turn import Turn

# An output is some 20 tokens; an agent's id may be long. A fixed seed gives the same query the same
# output; Workers AI does not accept 0.
MAX_TOKENS = 128
_PARAMETERS = {"max_tokens": MAX_TOKENS, "temperature": 0, "seed": 1}
_NO_JSON_SCHEMA = "5025"  # Workers AI's code for a model without JSON mode


class ModelRanker:
    """Calls models until one gives an output that can be read. A failure is never raised: it is in
    the `call` of the result."""

    name = "model"
    layer = "llm"

    async def rank(self, turn: Turn) -> Ranking | Skip:
        services, models = turn.services, _ModelCall(turn)
        if not turn.cache:
            return await models.call()
        started = services.monotonic()
        result, is_leader = await services.single_flight.run(
            turn.flight_key, models.call, seconds=turn.time_budget_ms / 1000
        )
        if is_leader:
            return result
        call = ModelCallResult(
            failure=None if result.call is None else result.call.failure,
            upstream_ms=(services.monotonic() - started) * 1000,
            shared=True,
        )
        if isinstance(result, Skip):
            return replace(result, call=call)
        source = replace(result.source, layer="cache")
        return replace(result, source=source, cached=True, call=call)


class _ModelCall:
    """One turn's way through the chain of models."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._services = turn.services
        # A dropped entry may still be in AI Gateway's cache.
        self._cache = turn.cache and not turn.lookup.dropped
        self._chain = turn.services.new_chain(
            turn.config, purpose="route", budget_ms=turn.time_budget_ms
        )
        self._trace = GatewayTrace()
        # What was learned about a model in this turn: no JSON mode, a cached answer of no use.
        self._without_json: set[str] = set()
        self._without_cache: set[str] = set()
        self._metadata = {
            "decision_id": turn.id,
            "key_id": turn.caller.credential.key_id,
            "agents_revision": turn.config.agents_revision,
            "purpose": turn.purpose,
        }

    async def call(self) -> Ranking | Skip:
        chain = self._chain
        ranking: Ranking | None = None
        with suppress(UpstreamError):  # it is in chain.failure
            ranking = await self._call_models()
        call = replace(
            NO_CALL,
            failure=chain.failure,
            attempts=chain.attempts,
            usage=chain.usage,
            cost_usd=chain.cost_usd,
            spent_usd=chain.spent_usd,
            usage_unknown=tuple(chain.usage_unknown),
            upstream_ms=chain.upstream_ms,
            trace=self._trace,
        )
        if ranking is None:
            reason = "no model was called" if chain.failure is None else chain.failure.reason
            return Skip(reason, call)
        return replace(ranking, call=call)

    async def _call_models(self) -> Ranking:
        """One after the other. The vendors' models at the end of the chain are equally good, so
        they share a single call."""
        models, chain = self._turn.models, self._chain
        alone = len(models)
        while alone > 1 and self._supports_batch(models[alone - 1]):
            alone -= 1
        if len(models) - alone < 2:
            return await chain.ask(models, self._attempt)
        with suppress(UpstreamError):
            return await chain.ask(models[:alone], self._attempt, reserve_time_for_next=True)
        return await chain.ask_together(models[alone:], self._attempt_batch, self._ranking)

    def _supports_batch(self, model: Model) -> bool:
        """AI Gateway's universal endpoint has no path for questions to decision models."""
        services = self._services
        if model.type == "decision" or model.provider not in self._turn.config.providers:
            return False
        request = self._request(ModelAttempt(model, 1, 0), in_json=False)
        can_batch = services.gateway.supports_batch_fallback(request)
        return can_batch and not services.breakers.is_open(model.id)

    async def _attempt_batch(self, attempts: Sequence[ModelAttempt]) -> tuple[int, ModelAnswer]:
        """Without JSON mode: each vendor has its own, and there is no second attempt."""
        requests = [self._request(attempt, in_json=False) for attempt in attempts]
        return await self._services.gateway.run_any(requests)

    async def _attempt(self, attempt: ModelAttempt) -> Ranking:
        model = attempt.model
        if model.type == "decision":
            return await self._attempt_decision(attempt)
        in_json = self._in_json(model)
        try:
            answer = await self._services.gateway.run(self._request(attempt, in_json=in_json))
        except (JsonModeUnmetError, UpstreamRejectedError) as error:
            if not in_json:
                raise
            self._without_json.add(model.id)
            if error.upstream_code == _NO_JSON_SCHEMA:
                self._services.without_json_mode.add(model.base_model)
            if isinstance(error, JsonModeUnmetError):
                raise
            # Vendors have no error code for it: the request may be accepted without JSON mode.
            raise JsonModeUnmetError(error.message, upstream_code=error.upstream_code) from error
        return self._ranking(attempt, answer)

    async def _attempt_decision(self, attempt: ModelAttempt) -> Ranking:
        model, question = attempt.model, routing_question(self._turn, attempt.model)
        request = DecisionRequest(
            model=model.base_model,
            state=question.state,
            questions=question.questions,
            **self._common(attempt, "decision"),
        )
        try:
            answer = await self._services.gateway.decide(request)
        except StaleAnswerError:
            self._without_cache.add(model.id)
            raise
        self._note_answer(attempt, answer)
        source = Source(DECISION_LAYER, model.base_model, model.adapter, model_id=model.id)
        with self._not_from_cache(model, answer):
            ranking = read_ranking(answer, question, source)
        self._trace = answer.trace
        return ranking

    def _note_answer(self, attempt: ModelAttempt, answer: ModelAnswer | DecisionAnswer) -> None:
        attempt.engine = answer.engine
        self._chain.record_usage(attempt.model, answer.usage, answer.trace)

    @contextmanager
    def _not_from_cache(self, model: Model, answer: ModelAnswer | DecisionAnswer) -> Iterator[None]:
        """An answer of AI Gateway's cache that cannot be read raises StaleAnswerError once."""
        try:
            yield
        except InvalidOutputError as error:
            if answer.trace.cache_status != "HIT" or model.id in self._without_cache:
                raise
            self._without_cache.add(model.id)
            raise StaleAnswerError(error.message) from error

    def _ranking(self, attempt: ModelAttempt, answer: ModelAnswer) -> Ranking:
        self._note_answer(attempt, answer)
        ranking = self._read(attempt.model, answer)
        self._trace = answer.trace
        return ranking

    def _read(self, model: Model, answer: ModelAnswer) -> Ranking:
        with self._not_from_cache(model, answer):
            offered = self._turn.agents_for(model)
            named = read_output(answer, offered, stated=states_confidence(model.type))
        source = Source(ModelRanker.layer, model.base_model, model.adapter, model_id=model.id)
        return partial_ranking(named.agent_id, named.confidence, source, named.source)

    def _in_json(self, model: Model) -> bool:
        refused = model.base_model in self._services.without_json_mode
        return model.json_mode and not refused and model.id not in self._without_json

    def _request(self, attempt: ModelAttempt, *, in_json: bool) -> ModelRequest:
        model, turn = attempt.model, self._turn
        confidence, agents = states_confidence(model.type), turn.agents_for(model)
        return ModelRequest(
            model=model.base_model,
            adapter=model.adapter,
            messages=build_messages(
                turn.query, agents, confidence=confidence, previous=turn.previous
            ),
            parameters=_PARAMETERS | ({"logprobs": True} if model.logprobs else {}),
            response_schema=answer_schema(agents, confidence=confidence) if in_json else None,
            **self._common(attempt, "json" if in_json else "text"),
        )

    def _common(self, attempt: ModelAttempt, form: str) -> dict[str, Any]:
        """What all requests to models have. `form` is a part of the cache key."""
        model, turn, config = attempt.model, self._turn, self._turn.config
        cached = self._cache and model.id not in self._without_cache
        return {
            "provider": config.providers.get(model.provider),
            "timeout_ms": attempt.timeout_ms,
            "cache_key": f"{turn.key_for(model)}:{form}" if cached else None,
            "cache_ttl_seconds": config.cache_ttl_seconds,
            "metadata": self._metadata | {"prompt_version": prompt_version(model.type)},
            "collect_payload": config.stores_texts,
            "session": gateway_session(config, turn.context.session),
            "trace": turn.caller.trace,
        }
