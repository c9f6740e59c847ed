"""Questions to a decision model: what it is sent, and the call through the chain."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from edgeneuro.access.limits import Estimate, estimate
from edgeneuro.domain.decision import GatewayTrace
from edgeneuro.domain.model import Model
from edgeneuro.domain.question import Answer, Choice, Question, Score
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import InvalidOutputError, StaleAnswerError, UpstreamTimeoutError
from edgeneuro.gateway.chain import Chain, ModelAttempt
from edgeneuro.gateway.interface import DecisionRequest
from edgeneuro.services import Services
from edgeneuro.synapsecore.cache_key import key_of, model_identity, owner
from edgeneuro.synapsecore.context_window import (
    CutState,
    fit_state,
    json_text,
    questions_bytes,
    text_bytes,
)
from edgeneuro.synapsecore.decisions.asked import AskedQuestion, QuestionSet
from edgeneuro.synapsecore.decisions.facts import StateCut
from edgeneuro.synapsecore.stored_text import gateway_session
from edgeneuro.synapsecore.turn import CallerContext

# System One takes 64 questions in a call; OpenAI's API takes 400.
_QUESTIONS_PER_CALL = 64
_OPENAI_QUESTIONS_PER_CALL = 400
_TOKENS_PER_ANSWER = 16  # an upper bound; most models report none
_IMAGE_BYTES = 8_192  # about what an image takes in most models, as bytes of text


@dataclass(frozen=True, kw_only=True)
class ModelAnswers:
    """What a decision model answered, by the ids of the questions."""

    model: Model
    answers: Mapping[str, Answer]
    trace: GatewayTrace
    state_cut: StateCut | None


@dataclass(frozen=True, kw_only=True)
class ModelQuestions:
    """The questions for decision models. `models` are called in their order within the chain until
    one answers all of them; `id` is that of the log row."""

    services: Services
    caller: CallerContext
    config: RoutingConfig
    asked: QuestionSet
    questions: tuple[AskedQuestion, ...]
    models: tuple[Model, ...]
    chain: Chain
    id: str
    created_ms: int
    # Models of whose answers AI Gateway has cached one that is of no use.
    _without_cache: set[str] = field(default_factory=set, init=False)
    # The state as each model gets it, by model id: a state may have a megabyte.
    _states: dict[str, CutState] = field(default_factory=dict, init=False)

    @cached_property
    def _by_id(self) -> Mapping[str, Question]:
        return {each.id: each.question for each in self.questions if each.question is not None}

    def upper_bound(self, models: Sequence[Model] | None = None) -> Estimate:
        """For calling all models, or only these."""
        bounds = Estimate()
        for model in self.models if models is None else models:
            parts = list(self._parts(model))
            sent = text_bytes(json_text(self._state(model).state))
            sent += len(self.asked.image_urls) * _IMAGE_BYTES
            total = sent * len(parts) + questions_bytes(self._by_id)
            bounds += estimate([model], total, _TOKENS_PER_ANSWER * len(self._by_id))
        return bounds

    async def answer(self) -> ModelAnswers:
        """Raises the first model's UpstreamError if none answers every question."""
        return await self.chain.ask(self.models, self._attempt)

    def known(self) -> Estimate:
        """What calling models took, as far as they reported it."""
        return Estimate(self.chain.usage.total_tokens, self.chain.spent_usd)

    def unknown(self) -> Estimate:
        """The upper bound for what models have used and did not report."""
        distinct = {model.id: model for model in self.chain.usage_unknown}
        return self.upper_bound(list(distinct.values()))

    async def _attempt(self, attempt: ModelAttempt) -> ModelAnswers:
        model, monotonic = attempt.model, self.services.monotonic
        state = self._state(model)
        deadline = monotonic() + attempt.timeout_ms / 1000
        answers: dict[str, Answer] = {}
        trace = GatewayTrace()
        for part in self._parts(model):
            left_ms = max(1, round((deadline - monotonic()) * 1000))
            request = self._request(model, state, part, timeout_ms=left_ms)
            try:
                answer = await self.services.gateway.decide(request)
            except StaleAnswerError:
                self._without_cache.add(model.id)
                raise
            except UpstreamTimeoutError as error:
                # Of many parts the earlier ones took the time.
                error.model_works = bool(answers)
                raise
            attempt.engine = answer.engine
            self.chain.record_usage(model, answer.usage, answer.trace)
            answers |= answer.answers
            trace = answer.trace
            missing = next((name for name in part if name not in answer.answers), None)
            if missing is not None:
                raise self._unanswered(model, missing, request, answer.trace)
        return ModelAnswers(model=model, answers=answers, trace=trace, state_cut=self._cut(state))

    def _unanswered(
        self, model: Model, name: str, request: DecisionRequest, trace: GatewayTrace
    ) -> InvalidOutputError:
        """An answer from AI Gateway's cache is asked for again, past the cache."""
        message = f"The model left a question unanswered: {name!r}."
        if trace.cache_status != "HIT" or request.cache_key is None:
            return InvalidOutputError(message)
        self._without_cache.add(model.id)
        return StaleAnswerError(message)

    def _parts(self, model: Model) -> Iterator[dict[str, Question]]:
        """The questions of each call."""
        provider = self.config.providers.get(model.provider)
        many = provider is not None and provider.kind == "openai"
        most = _OPENAI_QUESTIONS_PER_CALL if many else _QUESTIONS_PER_CALL
        items = list(self._by_id.items())
        for at in range(0, len(items), most):
            yield dict(items[at : at + most])

    def _request(
        self, model: Model, state: CutState, questions: Mapping[str, Question], *, timeout_ms: int
    ) -> DecisionRequest:
        config, asked = self.config, self.asked
        request = DecisionRequest(
            model=model.base_model,
            provider=config.providers.get(model.provider),
            state=state.state,
            questions=questions,
            image_urls=asked.image_urls,
            timeout_ms=timeout_ms,
            cache_key=None,
            cache_ttl_seconds=config.cache_ttl_seconds,
            metadata={
                "decision_id": self.id,
                "key_id": self.caller.credential.key_id,
                "request_id": self.caller.request_id,
                "purpose": "questions",
            },
            collect_payload=config.stores_texts,
            trace=self.caller.trace,
            session=gateway_session(config, asked.options.session),
            images=asked.images,
        )
        # AI Gateway's cache holds the state, so it is used only if texts may be stored as they are.
        cached = asked.options.cache and config.stores_texts
        if not cached or model.id in self._without_cache:
            return request
        return replace(request, cache_key=f"questions:{self._cache_key(model, request)}")

    def _cache_key(self, model: Model, request: DecisionRequest) -> str:
        """A hash over exactly what this model is sent."""
        images = [self.asked.images.digest(url) for url in request.image_urls]
        questions = [[name, *_parts_of(each)] for name, each in request.questions.items()]
        caller = owner(self.config, self.caller.credential.key_id)
        return key_of(
            [request.state, images, questions, *model_identity(model, self.config), *caller]
        )

    def _state(self, model: Model) -> CutState:
        """As it fits beside the questions of each call."""
        if model.id not in self._states:
            longest = max(self._parts(model), key=questions_bytes)
            self._states[model.id] = fit_state(self.asked.state, longest, model.context_window)
        return self._states[model.id]

    def _cut(self, state: CutState) -> StateCut | None:
        if not state.left_out:
            return None
        return StateCut(characters=len(json_text(self.asked.state)), left_out=state.left_out)


def _parts_of(question: Question) -> list[Any]:
    if isinstance(question, Choice):
        return ["choice", question.instructions, list(question.options.items())]
    if isinstance(question, Score):
        levels = [[level.label, level.description] for level in question.levels]
        return ["score", question.instructions, levels]
    return ["yes_no", question.instructions, question.yes, question.no]
