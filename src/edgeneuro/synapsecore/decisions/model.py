"""Questions to a decision model: which models may answer, and the call through the chain."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from edgeneuro.access.limits import Estimate, estimate
from edgeneuro.domain.catalogue import find_model
from edgeneuro.domain.chat import AGENT_PREFIX
from edgeneuro.domain.decision import GatewayTrace
from edgeneuro.domain.model import Model
from edgeneuro.domain.permissions import Permissions
from edgeneuro.domain.question import Answer, Choice, Question, Score
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import (
    ConflictError,
    InvalidOutputError,
    InvalidRequestError,
    NotFoundError,
)
from edgeneuro.gateway.chain import Chain, ModelAttempt
from edgeneuro.gateway.interface import DecisionRequest
from edgeneuro.services import Services
from edgeneuro.synapsecore.cache_key import key_of, model_identity, owner
from edgeneuro.synapsecore.context_window import CutState, fit_state, questions_bytes, text_bytes
from edgeneuro.synapsecore.decisions.asked import Asked, AskedQuestion, json_text
from edgeneuro.synapsecore.decisions.facts import StateCut
from edgeneuro.synapsecore.decisions.routed import unknown_agents
from edgeneuro.synapsecore.turn import CallerContext

_ROUTER_PREFIX = "auto:"
_NAMED_IN_MESSAGE = 3  # models
# System One takes 64 questions in a call; OpenAI's API takes 400.
_QUESTIONS_PER_CALL = 64
_OPENAI_QUESTIONS_PER_CALL = 400
_TOKENS_PER_ANSWER = 16  # an upper bound; most models report none
_IMAGE_BYTES = 8_192  # about what an image takes in most models, as bytes of text


def require_known_name(name: str) -> None:
    """Raises for names that are no decision model's in any configuration."""
    if name.startswith(_ROUTER_PREFIX):
        raise NotFoundError(
            f"There is no router {name.removeprefix(_ROUTER_PREFIX)!r}. Send the model 'auto'.",
            code="model_not_found",
            param="model",
        )
    if name.startswith(AGENT_PREFIX):
        raise InvalidRequestError(
            f"model: {name!r} is an agent, which answers no questions with probabilities. Send"
            " 'auto' to let the router choose an agent, or name the agent in POST"
            " /v1/chat/completions.",
            param="model",
        )


def named_models(
    everything: RoutingConfig, permissions: Permissions, name: str, *, fallback: bool
) -> tuple[Model, ...]:
    """The decision model of that id, alias or bare name ("clef"), and then those of the chain that
    the caller may use. Raises NotFoundError, ConflictError for a model that is not ready,
    InvalidRequestError for one that writes text, and what `require_model` raises."""
    config = permissions.restrict(everything)
    model = find_model(everything.models, name) or _by_bare_name(everything, name)
    if model is None or model.type == "classifier":
        raise NotFoundError(
            f"There is no model {name!r}. GET /v1/models lists them; `decisions` marks those that"
            " answer questions. 'auto' lets the router choose an agent.",
            code="model_not_found",
            param="model",
        )
    permissions.require_model(everything, model.id)
    if model.status == "retired":
        raise NotFoundError(
            f"The model {name!r} is retired; choose another.", code="model_retired", param="model"
        )
    if model.status == "not_ready":
        raise ConflictError(
            f"The model {name!r} is not ready; choose one that is available.",
            code="model_not_ready",
            param="model",
        )
    if model.type != "decision":
        raise InvalidRequestError(
            f"model: {name!r} writes text and gives no probabilities; call it with POST"
            f" /v1/chat/completions. {_decision_models(config)}",
            code="not_a_decision_model",
            param="model",
        )
    others = [each for each in chain_models(config) if each.id != model.id] if fallback else []
    return (model, *others)


def chain_models(config: RoutingConfig) -> tuple[Model, ...]:
    """The decision models of the chain: the active model, the fallback models, the providers'."""
    return tuple(model for model in config.chain if model.type == "decision")


def automatic_models(
    everything: RoutingConfig,
    permissions: Permissions,
    questions: Sequence[AskedQuestion],
    *,
    fallback: bool,
) -> tuple[Model, ...]:
    """The models for "auto", for these questions that the router does not decide. Raises the reason
    if the caller may use none."""
    config = permissions.restrict(everything)
    models = chain_models(config)
    if models:
        return models if fallback else models[:1]
    for each in chain_models(everything):
        permissions.require_model(everything, each.id)
    first = questions[0]
    unknown = unknown_agents(first, everything)
    why = f" (no enabled agent: {', '.join(unknown[:_NAMED_IN_MESSAGE])})" if unknown else ""
    raise InvalidRequestError(
        f"{first.param}: the router does not decide this question{why}, and neither the active"
        f" model nor a fallback model is a decision model. {_decision_models(config)} An"
        " administrator can select one with POST /v1/models/select or add one to `fallback_models`;"
        " or send its id as `model`.",
        code="no_decision_model",
        param=first.param,
    )


def _decision_models(config: RoutingConfig) -> str:
    known = [
        model.id
        for model in config.models.values()
        if model.type == "decision" and model.status == "available"
    ]
    if not known:
        return "This installation has no decision model that you may use."
    return f"Decision models: {', '.join(known[:_NAMED_IN_MESSAGE])}."


def _by_bare_name(config: RoutingConfig, name: str) -> Model | None:
    """By the last part of the id, as System One's clients name the models."""
    known = [each for each in config.models.values() if each.type == "decision"]
    return next((each for each in known if each.base_model.rpartition("/")[2] == name), None)


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
    asked: Asked
    questions: tuple[AskedQuestion, ...]
    models: tuple[Model, ...]
    chain: Chain
    id: str
    created_ms: int

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
            answer = await self.services.gateway.decide(request)
            attempt.engine = answer.engine
            self.chain.record_usage(model, answer.usage, answer.trace)
            answers |= answer.answers
            trace = answer.trace
            missing = next((name for name in part if name not in answer.answers), None)
            if missing is not None:
                raise InvalidOutputError(f"The model left a question unanswered: {missing!r}.")
        return ModelAnswers(model=model, answers=answers, trace=trace, state_cut=self._cut(state))

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
            images=asked.images,
        )
        # AI Gateway's cache holds the state, so it is used only if texts may be stored as they are.
        if not (asked.options.cache and config.stores_texts):
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
        longest = max(self._parts(model), key=questions_bytes)
        return fit_state(self.asked.state, longest, model.context_window)

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
