"""A chain of models: one is asked after the other until one answers, all within one time budget.
An error that may pass is tried again after a pause; a model that keeps failing is passed over."""

import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar

from edgeneuro.domain.decision import Attempt, GatewayTrace, Usage
from edgeneuro.domain.model import Model
from edgeneuro.errors import UpstreamError, UpstreamTimeoutError
from edgeneuro.gateway.breaker import Breakers

T = TypeVar("T")
Given = TypeVar("Given")
# A model that others stand behind gets this share of the time left, so that they get a turn.
_SHARE_OF_TIME_LEFT = 0.6
_MIN_USEFUL_SECONDS = 0.05
_FIRST_PAUSE_SECONDS = 0.2  # doubled with every further try
_TIME_USED_UP = "The time budget was used up."


@dataclass
class Try:
    """One try of one model; `number` counts those of this model from 1. Who makes the try puts in
    what `engine` the answer says it is of, and `streams` where it has only begun."""

    model: Model
    number: int
    timeout_ms: int
    engine: str | None = None
    streams: bool = False


class Chain:
    """One answer's way. `failure` is the first model's: why the one that was wanted did not answer.
    `usage` and `spent_usd` are what all tries came to, as far as prices are known; the models of
    `usage_unknown` may have used tokens without telling how many: their answer did not say, came
    too late or could not be read. Times in milliseconds."""

    def __init__(
        self,
        breakers: Breakers,
        *,
        purpose: Literal["route", "chat"],
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
        self._recorded = False  # the usage of the present try
        self._streaming: Model | None = None

    @property
    def cost_usd(self) -> float | None:
        """None once a price is not known."""
        return self.spent_usd if self._all_priced else None

    async def ask(
        self,
        models: Sequence[Model],
        one_try: Callable[[Try], Awaitable[T]],
        *,
        others_behind: bool = False,
        once: Model | None = None,
    ) -> T:
        """What `one_try` made of the first answer; `once` is not tried again, since it may have
        done something the first time. Raises the first model's failure where nobody answers. With
        `others_behind`, the last model leaves time for them too."""
        with self._upstream():
            for place, model in enumerate(models, start=1):
                self._fall_back_to(model)
                last = place == len(models) and not others_behind
                try:
                    return await self._ask_model(model, one_try, last=last, again=model is not once)
                except UpstreamError as failure:
                    self.failure = self.failure or failure
        assert self.failure is not None, "a chain has a model"
        raise self.failure

    async def ask_together(
        self,
        models: Sequence[Model],
        all_tries: Callable[[Sequence[Try]], Awaitable[tuple[int, Given]]],
        read: Callable[[Try, Given], T],
    ) -> T:
        """The models that are asked by one call, in order, by AI Gateway itself; `all_tries` gives
        the place of the one that answered, and what it said. Of those before it no more is known
        than that they failed: the prompt may be at fault, so it does not count towards their
        breakers. Raises as `ask` does."""
        with self._upstream():
            left_ms = round((self._deadline - self._monotonic()) * 1000 / len(models))
            if left_ms < _MIN_USEFUL_SECONDS * 1000:
                self.failure = self.failure or UpstreamTimeoutError(_TIME_USED_UP)
                raise self.failure  # nobody was called
            tries = [Try(model, 1, left_ms) for model in models]
            self._recorded = False
            started = self._monotonic()
            failure: UpstreamError | None = None
            answered = len(tries) - 1
            try:
                answered, given = await all_tries(tries)
                result = read(tries[answered], given)
            except UpstreamError as error:
                failure = error
            for this in tries[:answered]:
                self._fall_back_to(this.model)
                unknown = UpstreamError("AI Gateway asked the next one.")
                self._record(this, unknown.outcome, unknown, 0)
                self.usage_unknown.append(this.model)
            self._fall_back_to(tries[answered].model)
            self._note(tries[answered], failure, (self._monotonic() - started) * 1000)
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

    def pay(self, model: Model, usage: Usage | None, trace: GatewayTrace) -> None:
        """Adds what an answer has used; None is what a stream did not come to tell. One out of AI
        Gateway's cache was not computed again, so nothing is to pay."""
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
        """The stream that the last try had opened is whole."""
        if self._streaming is not None:
            self._breakers.note(self._streaming.id, None)

    def cut(self, failure: UpstreamError) -> None:
        """The stream that the last try had opened has failed since."""
        if self._streaming is not None:
            self._breakers.note(self._streaming.id, failure)
        ended = {"outcome": failure.outcome, "code": failure.upstream_code}
        self.attempts[-1] = self.attempts[-1].model_copy(update=ended)

    async def _ask_model(
        self, model: Model, one_try: Callable[[Try], Awaitable[T]], *, last: bool, again: bool
    ) -> T:
        now = self._monotonic()
        deadline = now + (self._deadline - now) * (1 if last else _SHARE_OF_TIME_LEFT)
        refusal = self._breakers.refusal(model.id)
        if refusal is not None:
            self._record(Try(model, 1, 0), "circuit_open", refusal, 0)
            raise refusal
        number = 0
        while True:
            number += 1
            left = deadline - self._monotonic()
            if left < _MIN_USEFUL_SECONDS:
                raise UpstreamTimeoutError(_TIME_USED_UP)
            this = Try(model, number, round(left * 1000))
            try:
                return await self._tried(this, one_try)
            except UpstreamError as failure:
                pause = self._pause(failure, number) if again else None
                if pause is None or self._monotonic() + pause + _MIN_USEFUL_SECONDS > deadline:
                    raise
                if pause > 0:
                    await self._sleep(pause)

    async def _tried(self, this: Try, one_try: Callable[[Try], Awaitable[T]]) -> T:
        """Whatever else ends the try (it is cancelled, or a fault of our own) says nothing of the
        model, so it is not noted."""
        self._recorded = False
        started = self._monotonic()
        try:
            result = await one_try(this)
        except UpstreamError as failure:
            self._note(this, failure, (self._monotonic() - started) * 1000)
            raise
        self._note(this, None, (self._monotonic() - started) * 1000)
        return result

    def _note(self, this: Try, failure: UpstreamError | None, ms: float) -> None:
        if failure is None and this.streams:
            self._streaming = this.model
        else:
            self._breakers.note(this.model.id, failure)
        if failure is not None and failure.may_have_generated and not self._recorded:
            self.usage_unknown.append(this.model)
        self._record(this, "ok" if failure is None else failure.outcome, failure, ms)

    def _pause(self, failure: UpstreamError, number: int) -> float | None:
        """How many seconds to wait before the model is asked again; None is not at all."""
        if failure.ask_differently and number == 1:
            return 0
        if not failure.may_pass or number > self._max_retries:
            return None
        if failure.retry_after_seconds is not None:
            return failure.retry_after_seconds
        # Not all at the same moment, or they would meet again.
        return float(_FIRST_PAUSE_SECONDS * 2 ** (number - 1) * random.uniform(0.5, 1))

    def _fall_back_to(self, model: Model) -> None:
        if self.attempts:
            self.attempts[-1] = self.attempts[-1].model_copy(update={"fell_back_to": model.id})

    def _record(self, this: Try, outcome: str, failure: UpstreamError | None, ms: float) -> None:
        self.attempts.append(
            Attempt(
                purpose=self._purpose,
                model=this.model.base_model,
                adapter=this.model.adapter,
                provider=this.model.provider,
                outcome=outcome,
                code=failure.upstream_code if failure else None,
                ms=round(ms, 1),
                engine=this.engine,
            )
        )


def cost_usd(model: Model, usage: Usage) -> float | None:
    """What the tokens cost; None where the price is not known."""
    if model.pricing is None:
        return None
    prompt = usage.prompt_tokens * model.pricing.input_per_million
    completion = usage.completion_tokens * model.pricing.output_per_million
    return round((prompt + completion) / 1_000_000, 12)
