"""Stage 4, ask: the active model, then its fallbacks, all within one time budget. The same question
asked by several at a time goes upstream once."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from edgeneuro.domain.decision import Answer, Attempt, GatewayTrace, Usage
from edgeneuro.domain.model import Model
from edgeneuro.domain.prompt import (
    PROMPT_VERSION,
    answer_schema,
    build_messages,
    states_confidence,
)
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import (
    InvalidOutputError,
    JsonModeUnmetError,
    StaleAnswerError,
    UpstreamError,
    UpstreamRejectedError,
)
from edgeneuro.gateway.chain import ModelAttempt
from edgeneuro.gateway.interface import ModelAnswer, ModelRequest
from edgeneuro.services import Services
from edgeneuro.synapsecore.question import Question
from edgeneuro.synapsecore.record import Asker
from edgeneuro.synapsecore.reply import read_reply

# The answer is some 20 tokens; an agent's id may be long. A fixed seed makes the same question the
# same answer; 0 is out of Workers AI's range.
MAX_TOKENS = 128
_PARAMETERS = {"max_tokens": MAX_TOKENS, "temperature": 0, "seed": 1}
_NO_JSON_SCHEMA = "5025"  # Workers AI's code for a model that has no JSON mode at all


@dataclass(frozen=True)
class Asked:
    """What asking came to. `failure` is the first model's: why the model that was wanted did not
    answer. `cost_usd` is None where a price is not known, `spent_usd` what is known of it, and the
    models of `usage_unknown` may have used tokens without telling how many. `shared` tells that
    another request asked, so that nothing is to count here."""

    answer: Answer | None = None
    failure: UpstreamError | None = None
    attempts: list[Attempt] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0
    spent_usd: float = 0.0
    usage_unknown: tuple[Model, ...] = ()
    upstream_ms: float = 0.0
    trace: GatewayTrace = field(default_factory=GatewayTrace)
    shared: bool = False


async def ask(
    services: Services,
    question: Question,
    config: RoutingConfig,
    asker: Asker,
    *,
    decision_id: str,
    cache: bool,
    past_cache: bool = False,
    purpose: str = "route",
) -> Asked:
    """Asks until a model answers or the time is used up; an upstream's fault is never raised. With
    `past_cache` AI Gateway's cache is skipped, though the answer may be shared and cached."""
    metadata = {
        "decision_id": decision_id,
        "key_id": asker.credential.key_id,
        "agents_revision": config.agents_revision,
        "prompt_version": PROMPT_VERSION,
        "purpose": purpose,
    }
    asking = _Asking(
        services,
        question,
        config,
        asker,
        metadata=metadata,
        cache=cache and not past_cache,
    )
    if not cache:
        return await asking.ask()
    seconds, started = config.time_budget_ms / 1000, services.monotonic()
    asked, is_leader = await services.single_flight.run(
        question.flight_key, asking.ask, seconds=seconds
    )
    if is_leader:
        return asked
    recalled = asked.answer and asked.answer.model_copy(update={"layer": "cache"})
    waited_ms = (services.monotonic() - started) * 1000
    return Asked(answer=recalled, failure=asked.failure, upstream_ms=waited_ms, shared=True)


class _Asking:
    """One question on its way through the chain."""

    def __init__(
        self,
        services: Services,
        question: Question,
        config: RoutingConfig,
        asker: Asker,
        *,
        metadata: dict[str, str],
        cache: bool,
    ) -> None:
        self._services = services
        self._question = question
        self._config = config
        self._asker = asker
        self._cache = cache
        self._chain = services.new_chain(config, purpose="route", budget_ms=config.time_budget_ms)
        self._trace = GatewayTrace()
        # What was learned of a model on the way: it has no JSON mode, its cached answer is no use.
        self._in_text: set[str] = set()
        self._past_cache: set[str] = set()
        self._metadata = metadata

    async def ask(self) -> Asked:
        chain = self._chain
        answer: Answer | None = None
        with suppress(UpstreamError):  # the chain keeps it
            answer = await self._ask_models()
        return Asked(
            answer=answer,
            failure=chain.failure,
            attempts=chain.attempts,
            usage=chain.usage,
            cost_usd=chain.cost_usd,
            spent_usd=chain.spent_usd,
            usage_unknown=tuple(chain.usage_unknown),
            upstream_ms=chain.upstream_ms,
            trace=self._trace,
        )

    async def _ask_models(self) -> Answer:
        """One after the other, and the vendors at the end, of which one is as good as the other, by
        a single call."""
        models, chain = self._question.models, self._chain
        alone = len(models)
        while alone > 1 and self._may_be_one_of_several(models[alone - 1]):
            alone -= 1
        if len(models) - alone < 2:
            return await chain.ask(models, self._try)
        with suppress(UpstreamError):
            return await chain.ask(models[:alone], self._try, reserve_time_for_next=True)
        return await chain.ask_together(models[alone:], self._try_all, self._taken)

    def _may_be_one_of_several(self, model: Model) -> bool:
        request = self._request(ModelAttempt(model, 1, 0), in_json=False)
        is_vendors = (
            request.provider is not None and self._services.gateway.supports_batch_fallback(request)
        )
        return is_vendors and not self._services.breakers.is_open(model.id)

    async def _try_all(self, tries: Sequence[ModelAttempt]) -> tuple[int, ModelAnswer]:
        """In text: each vendor has its own JSON mode, and nobody could be asked again."""
        requests = [self._request(this, in_json=False) for this in tries]
        return await self._services.gateway.run_any(requests)

    async def _try(self, this: ModelAttempt) -> Answer:
        model = this.model
        in_json = self._in_json(model)
        try:
            given = await self._services.gateway.run(self._request(this, in_json=in_json))
        except (JsonModeUnmetError, UpstreamRejectedError) as error:
            if not in_json:
                raise
            self._in_text.add(model.id)
            if error.upstream_code == _NO_JSON_SCHEMA:
                self._services.without_json_mode.add(model.base_model)
            if isinstance(error, JsonModeUnmetError):
                raise
            # Vendors have no code of their own for it: without JSON mode it may be taken.
            raise JsonModeUnmetError(error.message, upstream_code=error.upstream_code) from error
        return self._taken(this, given)

    def _taken(self, this: ModelAttempt, given: ModelAnswer) -> Answer:
        this.engine = given.engine
        self._chain.record_usage(this.model, given.usage, given.trace)
        answer = self._read(this.model, given)
        self._trace = given.trace
        return answer

    def _read(self, model: Model, given: ModelAnswer) -> Answer:
        try:
            chosen = read_reply(given, self._question.agents, stated=states_confidence(model.type))
        except InvalidOutputError as error:
            if given.trace.cache_status != "HIT" or model.id in self._past_cache:
                raise
            self._past_cache.add(model.id)
            raise StaleAnswerError(error.message) from error
        return Answer(
            agent_id=chosen.agent_id,
            confidence=chosen.confidence,
            confidence_source=chosen.source,
            layer="llm",
            model=model.base_model,
            adapter=model.adapter,
        )

    def _in_json(self, model: Model) -> bool:
        refused = model.base_model in self._services.without_json_mode
        return model.json_mode and not refused and model.id not in self._in_text

    def _request(self, this: ModelAttempt, *, in_json: bool) -> ModelRequest:
        model, question = this.model, self._question
        confidence = states_confidence(model.type)
        schema = answer_schema(question.agents, confidence=confidence) if in_json else None
        key = f"{question.keys.get(model.id)}:{'json' if in_json else 'text'}"
        return ModelRequest(
            model=model.base_model,
            adapter=model.adapter,
            provider=self._config.providers.get(model.provider),
            messages=build_messages(question.query, question.agents, confidence=confidence),
            parameters=_PARAMETERS | ({"logprobs": True} if model.logprobs else {}),
            response_schema=schema,
            timeout_ms=this.timeout_ms,
            cache_key=key if self._cache and model.id not in self._past_cache else None,
            cache_ttl_seconds=self._config.cache_ttl_seconds,
            metadata=self._metadata,
            collect_payload=self._config.stores_texts,
            trace=self._asker.trace,
        )
