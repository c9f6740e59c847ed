"""Stage 3, ask: the active model, then its fallbacks, all within one time budget."""

from dataclasses import dataclass, field
from typing import Any

from edgeneuro.domain.decision import Answer, Attempt, GatewayTrace, Usage
from edgeneuro.domain.model import Model
from edgeneuro.domain.prompt import PROMPT_VERSION, answer_schema, build_messages
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import JsonModeUnmetError, UpstreamError, UpstreamTimeoutError
from edgeneuro.gateway.seam import ModelAnswer, ModelRequest
from edgeneuro.services import Services
from edgeneuro.synapsecore.question import Question
from edgeneuro.synapsecore.reply import read_reply

# The answer is some 20 tokens; an agent's id may be long. A fixed seed makes the same question the
# same answer; 0 is out of Workers AI's range.
_PARAMETERS = {"max_tokens": 128, "temperature": 0, "seed": 1}
# A model that others stand behind gets this share of the time left, so that they get a turn.
_SHARE_OF_TIME_LEFT = 0.6
_LEAST_USEFUL_MS = 50
_NO_JSON_SCHEMA = "5025"  # Workers AI's code for a model that has no JSON mode at all


@dataclass
class Asked:
    """What asking came to. `failure` is the first model's: why the active model did not answer."""

    answer: Answer | None = None
    failure: UpstreamError | None = None
    attempts: list[Attempt] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0
    trace: GatewayTrace = field(default_factory=GatewayTrace)


async def ask(
    services: Services, question: Question, config: RoutingConfig, *, decision_id: str, cache: bool
) -> Asked:
    """Asks until a model answers or the time is used up; an upstream's fault is never raised."""
    asking = _Asking(services, question, config, decision_id=decision_id, cache=cache)
    for model in config.chain:
        try:
            asking.asked.answer = await asking.ask_model(model)
            break
        except UpstreamError as failure:
            asking.asked.failure = asking.asked.failure or failure
    return asking.asked


class _Asking:
    """One question on its way through the chain."""

    def __init__(
        self,
        services: Services,
        question: Question,
        config: RoutingConfig,
        *,
        decision_id: str,
        cache: bool,
    ) -> None:
        self.asked = Asked()
        self._services = services
        self._question = question
        self._config = config
        self._cache = cache
        self._deadline = services.monotonic() + config.time_budget_ms / 1000
        self._messages = build_messages(question.query, question.agents)
        self._metadata = {
            "decision_id": decision_id,
            "agents_revision": config.agents_revision,
            "prompt_version": PROMPT_VERSION,
        }

    async def ask_model(self, model: Model) -> Answer:
        """In JSON mode where the model has it, and once more without where it could not keep to
        it."""
        refused = self._services.without_json_mode
        if model.json_mode and model.base_model not in refused:
            try:
                return await self._try(model, answer_schema(self._question.agents))
            except JsonModeUnmetError as error:
                if error.upstream_code == _NO_JSON_SCHEMA:
                    refused.add(model.base_model)
        return await self._try(model, None)

    async def _try(self, model: Model, schema: dict[str, Any] | None) -> Answer:
        request = self._request(model, schema)
        started = self._services.monotonic()
        given: ModelAnswer | None = None
        failure: UpstreamError | None = None
        try:
            given = await self._services.gateway.run(request)
            agent_id, confidence = read_reply(given.content, self._question.agents)
        except UpstreamError as error:
            failure = error
            raise
        finally:
            ms = (self._services.monotonic() - started) * 1000
            self._record(model, given, failure, ms)
        self.asked.trace = given.trace
        return Answer(
            agent_id=agent_id,
            confidence=confidence,
            layer="llm",
            model=model.base_model,
            adapter=model.adapter,
        )

    def _request(self, model: Model, schema: dict[str, Any] | None) -> ModelRequest:
        left_ms = (self._deadline - self._services.monotonic()) * 1000
        if left_ms < _LEAST_USEFUL_MS:
            raise UpstreamTimeoutError("The time budget was used up.")
        last = model is self._config.chain[-1]
        key = f"{self._question.cache_key}:{model.id}:{'json' if schema else 'text'}"
        return ModelRequest(
            model=model.base_model,
            adapter=model.adapter,
            messages=self._messages,
            response_schema=schema,
            parameters=_PARAMETERS,
            timeout_ms=round(left_ms if last else left_ms * _SHARE_OF_TIME_LEFT),
            cache_key=key if self._cache else None,
            cache_ttl_seconds=self._config.cache_ttl_seconds,
            metadata=self._metadata,
        )

    def _record(
        self, model: Model, given: ModelAnswer | None, failure: UpstreamError | None, ms: float
    ) -> None:
        self.asked.attempts.append(
            Attempt(
                model=model.base_model,
                adapter=model.adapter,
                provider="workers-ai",
                outcome=_outcome(failure),
                code=failure.upstream_code if failure else None,
                ms=round(ms, 1),
                engine=given.engine if given else None,
            )
        )
        if given is None or given.trace.cache_status == "HIT":
            return  # nothing was computed, so nothing is to pay
        self.asked.usage += given.usage
        cost = _cost_usd(model, given.usage)
        both_known = cost is not None and self.asked.cost_usd is not None
        self.asked.cost_usd = (self.asked.cost_usd or 0) + (cost or 0) if both_known else None


def _outcome(failure: UpstreamError | None) -> str:
    if failure is None:
        return "ok"
    return "json_mode_unmet" if isinstance(failure, JsonModeUnmetError) else failure.reason


def _cost_usd(model: Model, usage: Usage) -> float | None:
    if model.pricing is None:
        return None
    prompt = usage.prompt_tokens * model.pricing.input_per_million
    completion = usage.completion_tokens * model.pricing.output_per_million
    return round((prompt + completion) / 1_000_000, 12)
