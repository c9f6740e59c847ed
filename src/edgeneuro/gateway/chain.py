"""A chain of models: the active model and its fallbacks are called in order until one answers, all
within one time budget. A retryable error is retried after a pause; a model whose circuit breaker is
open is skipped."""

import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from edgeneuro.domain.decision import Attempt, CallPurpose, GatewayTrace, Usage
from edgeneuro.domain.model import Model
from edgeneuro.errors import UpstreamError, UpstreamTimeoutError
from edgeneuro.gateway.breaker import Breakers

T = TypeVar("T")
Output = TypeVar("Output")
# A model with fallbacks after it gets this share of the time left, so that they have time too.
_SHARE_OF_TIME_LEFT = 0.6
_MIN_USEFUL_SECONDS = 0.05
_FIRST_PAUSE_SECONDS = 0.2  # doubled with every further attempt
_TIME_USED_UP = "The time budget was used up."


@dataclass
class ModelAttempt:
    """One attempt to call one model; `number` counts the attempts of that model from 1. The caller
    sets `engine`, the engine that the answer names, `streams` if the answer is a stream that has
    only begun, and `outcome` if the model answered, but not the question ("not_mine")."""

    model: Model
    number: int
    timeout_ms: int
    engine: str | None = None
    streams: bool = False
    outcome: str = "ok"


class Chain:
    """The attempts for one answer. `failure` is the first model's: why the preferred model did not
    answer. `usage` and `spent_usd` are the sums over all attempts, as far as prices are known. The
    models of `usage_unknown` may have used tokens, but the number is not known: their answer did
    not state it, came too late or could not be read. Times in milliseconds."""

    def __init__(
        self,
        breakers: Breakers,
        *,
        purpose: CallPurpose,
        budget_ms: int,
        max_retries: int,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.attempts: list[Attempt] = []
        self.failure: UpstreamError | None = None
        self.usage = Usage()
        self.spent_usd = 0.0
        self.usage_unknown: list[Model] = []
        self.upstream_ms = 0.0
        self._breakers = breakers
        self._purpose = purpose
        self._max_retries = max_retries
        self._monotonic = monotonic
        self._sleep = sleep
        self._deadline = monotonic() + budget_ms / 1000
        self._all_priced = True
        self._recorded = False  # the usage of the current attempt
        self._streaming: Model | None = None

    @property
    def cost_usd(self) -> float | None:
        """None if any price is not known."""
        return self.spent_usd if self._all_priced else None

    @property
    def left_ms(self) -> int:
        return max(0, round((self._deadline - self._monotonic()) * 1000))

    async def ask(
        self,
        models: Sequence[Model],
        call: Callable[[ModelAttempt], Awaitable[T]],
        *,
        reserve_time_for_next: bool = False,
        once: Model | None = None,
    ) -> T:
        """The result of `call` for the first model that answers. `once` is not retried: its first
        call may have had effects. With `reserve_time_for_next` the last model leaves time for
        models that are called after this. Raises the first model's failure if none answers."""
        with self._upstream():
            for place, model in enumerate(models, start=1):
                self._fall_back_to(model)
                last = place == len(models) and not reserve_time_for_next
                try:
                    return await self._ask_model(model, call, last=last, again=model is not once)
                except UpstreamError as failure:
                    self.failure = self.failure or failure
        assert self.failure is not None, "a chain has a model"
        raise self.failure

    async def ask_together(
        self,
        models: Sequence[Model],
        call_all: Callable[[Sequence[ModelAttempt]], Awaitable[tuple[int, Output]]],
        read: Callable[[ModelAttempt, Output], T],
    ) -> T:
        """One call to AI Gateway, which calls the models in order; `call_all` returns the index of
        the model that answered, and its output. Of the models before it only the failure is known:
        it may be the prompt's fault, so it does not count for their circuit breakers. Raises the
        same errors as `ask`."""
        with self._upstream():
            left_ms = round((self._deadline - self._monotonic()) * 1000 / len(models))
            if left_ms < _MIN_USEFUL_SECONDS * 1000:
                self.failure = self.failure or UpstreamTimeoutError(_TIME_USED_UP)
                raise self.failure  # no model was called
            attempts = [ModelAttempt(model, 1, left_ms) for model in models]
            self._recorded = False
            started = self._monotonic()
            failure: UpstreamError | None = None
            answered = len(attempts) - 1
            try:
                answered, output = await call_all(attempts)
                result = read(attempts[answered], output)
            except UpstreamError as error:
                failure = error
            for attempt in attempts[:answered]:
                self._fall_back_to(attempt.model)
                unknown = UpstreamError("AI Gateway called the next one.")
                self._record(attempt, unknown.outcome, unknown, 0)
                self.usage_unknown.append(attempt.model)
            self._fall_back_to(attempts[answered].model)
            self._note(attempts[answered], failure, (self._monotonic() - started) * 1000)
            if failure is None:
                return result
        self.failure = self.failure or failure
        raise self.failure

    @contextmanager
    def _upstream(self) -> Iterator[None]:
        started = self._monotonic()
        try:
            yield
        finally:
            self.upstream_ms += (self._monotonic() - started) * 1000

    def record_usage(self, model: Model, usage: Usage | None, trace: GatewayTrace) -> None:
        """Adds the usage of an answer; None for a stream that ended before it stated its usage. An
        answer from AI Gateway's cache was not computed again and costs nothing."""
        self._recorded = True
        if trace.cache_status == "HIT":
            return
        if usage is None or usage.total_tokens == 0:
            self.usage_unknown.append(model)
        cost = None if usage is None else cost_usd(model, usage)
        self.usage += usage or Usage()
        self._all_priced = self._all_priced and cost is not None
        self.spent_usd += cost or 0

    def finish(self) -> None:
        """The stream that the last attempt opened is complete."""
        if self._streaming is not None:
            self._breakers.note(self._streaming.id, None)

    def cut(self, failure: UpstreamError) -> None:
        """The stream that the last attempt opened has failed."""
        if self._streaming is not None:
            self._breakers.note(self._streaming.id, failure)
        ended = {"outcome": failure.outcome, "code": failure.upstream_code}
        self.attempts[-1] = self.attempts[-1].model_copy(update=ended)

    async def _ask_model(
        self, model: Model, call: Callable[[ModelAttempt], Awaitable[T]], *, last: bool, again: bool
    ) -> T:
        now = self._monotonic()
        deadline = now + (self._deadline - now) * (1 if last else _SHARE_OF_TIME_LEFT)
        refusal = self._breakers.refusal(model.id)
        if refusal is not None:
            self._record(ModelAttempt(model, 1, 0), "circuit_open", refusal, 0)
            raise refusal
        number = 0
        while True:
            number += 1
            left = deadline - self._monotonic()
            if left < _MIN_USEFUL_SECONDS:
                raise UpstreamTimeoutError(_TIME_USED_UP)
            attempt = ModelAttempt(model, number, round(left * 1000))
            try:
                return await self._run_attempt(attempt, call)
            except UpstreamError as failure:
                pause = self._pause(failure, number) if again else None
                if pause is None or self._monotonic() + pause + _MIN_USEFUL_SECONDS > deadline:
                    raise
                if pause > 0:
                    await self._sleep(pause)

    async def _run_attempt(
        self, attempt: ModelAttempt, call: Callable[[ModelAttempt], Awaitable[T]]
    ) -> T:
        """Other ends of an attempt (a cancellation, an internal error) say nothing about the model,
        so they are not noted."""
        self._recorded = False
        started = self._monotonic()
        try:
            result = await call(attempt)
        except UpstreamError as failure:
            self._note(attempt, failure, (self._monotonic() - started) * 1000)
            raise
        self._note(attempt, None, (self._monotonic() - started) * 1000)
        return result

    def _note(self, attempt: ModelAttempt, failure: UpstreamError | None, ms: float) -> None:
        if failure is None and attempt.streams:
            self._streaming = attempt.model
        else:
            self._breakers.note(attempt.model.id, failure)
        if failure is not None and failure.may_have_generated and not self._recorded:
            self.usage_unknown.append(attempt.model)
        outcome = attempt.outcome if failure is None else failure.outcome
        self._record(attempt, outcome, failure, ms)

    def _pause(self, failure: UpstreamError, number: int) -> float | None:
        """Seconds to wait before the next attempt; None for no further attempt."""
        if failure.retry_at_once and number == 1:
            return 0
        if not failure.retryable or number > self._max_retries:
            return None
        if failure.retry_after_seconds is not None:
            return failure.retry_after_seconds
        # Jitter, so that requests that failed together do not retry together.
        return float(_FIRST_PAUSE_SECONDS * 2 ** (number - 1) * random.uniform(0.5, 1))

    def _fall_back_to(self, model: Model) -> None:
        if self.attempts:
            self.attempts[-1] = self.attempts[-1].model_copy(update={"fell_back_to": model.id})

    def _record(
        self, attempt: ModelAttempt, outcome: str, failure: UpstreamError | None, ms: float
    ) -> None:
        self.attempts.append(
            Attempt(
                purpose=self._purpose,
                model=attempt.model.base_model,
                adapter=attempt.model.adapter,
                provider=attempt.model.provider,
                outcome=outcome,
                code=failure.upstream_code if failure else None,
                ms=round(ms, 1),
                engine=attempt.engine,
            )
        )


def cost_usd(model: Model, usage: Usage) -> float | None:
    """The cost of the tokens; None if the price is not known."""
    if model.pricing is None:
        return None
    prompt = usage.prompt_tokens * model.pricing.input_per_million
    completion = usage.completion_tokens * model.pricing.output_per_million
    return round((prompt + completion) / 1_000_000, 12)
