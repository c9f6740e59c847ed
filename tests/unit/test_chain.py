"""Retries, fallbacks, circuit breakers and single flight, on a clock that only the test moves."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from edgeneuro.domain.catalogue import base_model, facts_of
from edgeneuro.domain.decision import GatewayTrace
from edgeneuro.domain.model import Model
from edgeneuro.errors import (
    InvalidOutputError,
    UpstreamCapacityError,
    UpstreamError,
    UpstreamNotConfiguredError,
    UpstreamQuotaError,
    UpstreamRateLimitedError,
    UpstreamRejectedError,
    UpstreamTimeoutError,
)
from edgeneuro.gateway.breaker import Breakers
from edgeneuro.gateway.chain import Chain, ModelAttempt
from edgeneuro.gateway.interface import ModelAnswer, ModelRequest
from edgeneuro.isolate.single_flight import SingleFlight
from edgeneuro_testing.gateway import OneOf, ScriptedGateway
from tests.unit.clock import Clock
from tests.unit.conftest import Product, says

LLAMA = "@cf/meta/llama-3.2-1b-instruct"
GRANITE = "@cf/ibm-granite/granite-4.0-h-micro"


def tries(decision: dict[str, Any]) -> list[tuple[str, str]]:
    return [(attempt["model"], attempt["outcome"]) for attempt in decision["attempts"]]


async def test_a_retryable_error_is_retried_after_a_pause(product: Product) -> None:
    product.gateway.enqueue(UpstreamCapacityError("busy"), says("hr"))
    started = product.clock.seconds
    decision = (await product.route("Leave?")).json()
    assert tries(decision) == [(LLAMA, "capacity"), (LLAMA, "ok")]
    assert (decision["agent"]["id"], decision["layer"]) == ("hr", "llm")
    assert 0.1 <= product.clock.seconds - started <= 0.2
    # The active model answered after all, so its answer is kept.
    assert (await product.route("Leave?")).json()["cache"] == "hit"


async def test_a_retry_after_is_obeyed(product: Product) -> None:
    limited = UpstreamRateLimitedError("slow down", headers={"retry-after": "2"})
    product.gateway.enqueue(limited, says("hr"))
    started = product.clock.seconds
    assert (await product.route("Leave?")).json()["layer"] == "llm"
    assert product.clock.seconds - started == 2


async def test_a_retry_after_beyond_the_budget_falls_back_at_once(product: Product) -> None:
    limited = UpstreamRateLimitedError("slow down", headers={"retry-after": "60"})
    product.gateway.enqueue(limited, says("hr"))
    started = product.clock.seconds
    decision = (await product.route("Leave?")).json()
    assert tries(decision) == [(LLAMA, "rate_limited"), (GRANITE, "ok")]
    assert product.clock.seconds == started


@pytest.mark.parametrize(
    "failure",
    [UpstreamTimeoutError("t"), UpstreamNotConfiguredError("n"), InvalidOutputError("i")],
)
async def test_an_error_that_is_not_retryable_is_not_retried(
    product: Product, failure: UpstreamError
) -> None:
    product.gateway.enqueue(failure, says("hr"))
    decision = (await product.route("Leave?")).json()
    assert tries(decision) == [(LLAMA, failure.reason), (GRANITE, "ok")]
    assert decision["attempts"][0]["fell_back_to"] == GRANITE


async def test_max_retries_is_a_setting(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"max_retries": 3, "fallback_models": []})
    product.gateway.enqueue(*[UpstreamCapacityError("busy")] * 3, says("hr"))
    assert len((await product.route("Leave?")).json()["attempts"]) == 4
    await product.call("PATCH", "/v1/config", {"max_retries": 0})
    product.gateway.enqueue(UpstreamCapacityError("busy"), says("hr"))
    assert len((await product.route("Pay?")).json()["attempts"]) == 1


async def test_an_invalid_answer_from_the_cache_is_requested_past_the_cache(
    product: Product,
) -> None:
    stale = ModelAnswer(content="elephants", trace=GatewayTrace(cache_status="HIT"))
    product.gateway.enqueue(stale, says("hr"))
    decision = (await product.route("Leave?")).json()
    assert tries(decision) == [(LLAMA, "invalid_output"), (LLAMA, "ok")]
    first, second = product.gateway.requests
    assert first.cache_key is not None
    assert second.cache_key is None


async def test_a_named_model_without_fallback_is_the_only_one_called(product: Product) -> None:
    product.gateway.enqueue(UpstreamNotConfiguredError("n"))
    answered = await product.route("Leave?", model=GRANITE, fallback=False)
    assert (answered.status, answered.json()["error"]["code"]) == (502, "upstream_not_configured")
    assert [request.model for request in product.gateway.requests] == [GRANITE]


async def test_a_named_model_goes_first_and_has_its_own_cache(product: Product) -> None:
    product.gateway.enqueue(says("hr"), says("it_support"))
    assert (await product.route("Leave?")).json()["model"] == LLAMA
    named = (await product.route("Leave?", model=GRANITE)).json()
    assert (named["model"], named["agent"]["id"], named["cache"]) == (GRANITE, "it_support", "miss")


async def test_a_missing_model_is_named(product: Product) -> None:
    error = (await product.route("Leave?", model="no-such")).json()["error"]
    assert (error["code"], error["param"]) == ("unknown_model", "model")


async def test_a_provider_is_the_last_fallback(product: Product) -> None:
    provider = {
        "id": "groq",
        "kind": "groq",
        "secret": "PROVIDER_GROQ_KEY",
        "models": ["llama-4", "other"],
    }
    assert (await product.call("POST", "/v1/providers", provider)).status == 201
    product.gateway.enqueue(
        UpstreamNotConfiguredError("n"), UpstreamNotConfiguredError("n"), says("hr")
    )
    decision = (await product.route("Leave?")).json()
    assert [(a["provider"], a["model"]) for a in decision["attempts"]] == [
        ("workers-ai", LLAMA),
        ("workers-ai", GRANITE),
        ("groq", "llama-4"),
    ]
    asked = product.gateway.requests[-1].provider
    assert asked is not None
    assert (asked.kind, asked.secret) == ("groq", "PROVIDER_GROQ_KEY")
    assert (await product.call("GET", "/v1/models/groq/other")).json()["provider"] == "groq"
    await product.call("PATCH", "/v1/providers/groq", {"enabled": False})
    assert (await product.call("GET", "/v1/models/groq/other")).status == 404


async def with_two_vendors(product: Product) -> None:
    for number, kind in enumerate(("groq", "openai")):
        provider = {
            "id": kind,
            "kind": kind,
            "secret": "PROVIDER_KEY",
            "models": ["m"],
            "priority": number,
        }
        assert (await product.call("POST", "/v1/providers", provider)).status == 201


async def test_vendors_at_the_end_are_called_in_one_request(product: Product) -> None:
    await with_two_vendors(product)
    gone = UpstreamNotConfiguredError("n")
    product.gateway.enqueue(gone, gone, OneOf(1, says("hr")))
    decision = (await product.route("Leave?")).json()
    assert (decision["agent"]["id"], decision["model"]) == ("hr", "m")
    assert [(a["provider"], a["outcome"], a["fell_back_to"]) for a in decision["attempts"]] == [
        ("workers-ai", "not_configured", GRANITE),
        ("workers-ai", "not_configured", "groq/m"),
        ("groq", "upstream_error", "openai/m"),
        ("openai", "ok", None),
    ]
    first, second = product.gateway.requests[-2:]
    assert first.timeout_ms == second.timeout_ms == 2_500
    assert first.response_schema is None


async def test_vendors_that_all_fail_leave_the_first_models_reason(product: Product) -> None:
    await with_two_vendors(product)
    product.gateway.enqueue(
        UpstreamQuotaError("q"), UpstreamNotConfiguredError("n"), UpstreamCapacityError("c")
    )
    decision = (await product.route("Leave?")).json()
    assert (decision["layer"], decision["reason"]) == ("fallback", "quota")
    outcomes = [attempt["outcome"] for attempt in decision["attempts"]]
    assert outcomes == ["quota", "not_configured", "upstream_error", "capacity"]


async def test_a_vendor_with_an_invalid_answer_is_named(product: Product) -> None:
    await with_two_vendors(product)
    gone = UpstreamNotConfiguredError("n")
    product.gateway.enqueue(gone, gone, OneOf(0, ModelAnswer(content="elephants")))
    decision = (await product.route("Leave?")).json()
    assert decision["reason"] == "not_configured"
    last = decision["attempts"][-1]
    assert (last["provider"], last["outcome"]) == ("groq", "invalid_output")


async def test_a_vendor_that_refuses_json_mode_is_called_in_text_mode(product: Product) -> None:
    product.gateway.enqueue(UpstreamRejectedError("no response_format"), says("hr"))
    decision = (await product.route("Leave?")).json()
    assert tries(decision) == [(LLAMA, "json_mode_unmet"), (LLAMA, "ok")]
    assert [bool(each.response_schema) for each in product.gateway.requests] == [True, False]


async def test_too_many_failures_open_the_circuit_breaker(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"max_retries": 0})
    for number in range(5):
        product.gateway.enqueue(UpstreamCapacityError("busy", upstream_code="3040"), says("hr"))
        await product.route(f"Question {number}")
    product.gateway.enqueue(says("hr"))
    decision = (await product.route("Leave?")).json()
    assert tries(decision) == [(LLAMA, "circuit_open"), (GRANITE, "ok")]
    assert decision["attempts"][0]["code"] == "3040"
    text = (await product.call("GET", "/metrics")).text
    assert f'edgeneuro_circuit_open{{model="{LLAMA}"}} 1' in text
    assert f'edgeneuro_circuit_opened_total{{model="{LLAMA}"}} 1' in text
    product.clock.seconds += 31
    product.gateway.enqueue(says("hr"))
    assert tries((await product.route("Well again?")).json()) == [(LLAMA, "ok")]
    text = (await product.call("GET", "/metrics")).text
    assert f'edgeneuro_circuit_open{{model="{LLAMA}"}} 1' not in text


async def test_with_all_breakers_open_the_reason_stays(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"max_retries": 0, "fallback_models": []})
    for number in range(5):
        product.gateway.enqueue(UpstreamTimeoutError("slow"))
        await product.route(f"Question {number}")
    decision = (await product.route("Leave?")).json()
    assert (decision["layer"], decision["reason"]) == ("fallback", "timeout")
    assert tries(decision) == [(LLAMA, "circuit_open")]
    refused = await product.route("Leave?", fallback=False)
    assert (refused.status, refused.headers["retry-after"]) == (504, "5")


async def test_a_change_of_the_configuration_closes_all_breakers(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"max_retries": 0, "fallback_models": []})
    for number in range(5):
        product.gateway.enqueue(UpstreamTimeoutError("slow"))
        await product.route(f"Question {number}")
    await product.call("PATCH", "/v1/config", {"time_budget_ms": 9_000})
    product.gateway.enqueue(says("hr"))
    assert tries((await product.route("Leave?")).json()) == [(LLAMA, "ok")]


def test_one_request_tries_a_model_with_an_open_breaker_and_its_failure_opens_it_again() -> None:
    clock = Clock()
    breakers = Breakers(clock)
    for _ in range(5):
        breakers.note("m", UpstreamTimeoutError("slow"))
    assert breakers.refusal("m") is not None
    breakers.note("m", UpstreamTimeoutError("slow"))  # of a call from before: no try
    for open_seconds in (5, 10, 20, 30, 30):
        clock.seconds += open_seconds - 1
        assert breakers.refusal("m") is not None
        clock.seconds += 1
        assert breakers.refusal("m") is None
        assert isinstance(breakers.refusal("m"), UpstreamTimeoutError)
        breakers.note("m", UpstreamTimeoutError("slow"))
    clock.seconds += 30
    assert breakers.refusal("m") is None
    breakers.note("m", None)
    assert breakers.refusal("m") is None
    assert breakers.states() == []


def test_a_breaker_stays_open_for_the_retry_after_but_not_forever() -> None:
    clock = Clock()
    breakers = Breakers(clock)
    for _ in range(5):
        breakers.note("m", UpstreamRateLimitedError("r", headers={"retry-after": "86400"}))
    clock.seconds += 299
    assert breakers.refusal("m") is not None
    clock.seconds += 1
    assert breakers.refusal("m") is None


@pytest.mark.parametrize("failure", [InvalidOutputError("i"), UpstreamRejectedError("r"), None])
def test_any_answer_closes_the_breaker(failure: UpstreamError | None) -> None:
    breakers = Breakers(Clock())
    for _ in range(4):
        breakers.note("m", UpstreamTimeoutError("slow"))
    breakers.note("m", failure)
    breakers.note("m", UpstreamTimeoutError("slow"))
    assert breakers.refusal("m") is None


def chain_of(clock: Clock, breakers: Breakers, *, budget_ms: int = 5_000) -> Chain:
    return Chain(
        breakers,
        purpose="route",
        budget_ms=budget_ms,
        max_retries=0,
        monotonic=clock,
        sleep=clock.sleep,
    )


def opened_breakers(clock: Clock, model: Model) -> Breakers:
    """Open, and due for one request that tries the model."""
    breakers = Breakers(clock)
    for _ in range(5):
        breakers.note(model.id, UpstreamTimeoutError("slow"))
    clock.seconds += 30
    return breakers


@pytest.mark.parametrize("end", [asyncio.CancelledError(), TypeError("a bug in the router")])
async def test_a_canceled_attempt_or_a_bug_does_not_change_the_breaker(
    end: BaseException,
) -> None:
    clock, model = Clock(), base_model(facts_of(LLAMA))
    breakers = opened_breakers(clock, model)
    chain = chain_of(clock, breakers)

    async def ends(this: ModelAttempt) -> None:
        raise end

    with pytest.raises(type(end)):
        await chain.ask([model], ends)
    assert breakers.is_open(model.id)
    assert breakers.refusal(model.id) is not None


async def test_vendors_before_the_one_that_answered_are_not_blamed(product: Product) -> None:
    """Why they failed is not known: the prompt may be at fault."""
    await with_two_vendors(product)
    gone = UpstreamNotConfiguredError("n")
    for number in range(6):
        product.gateway.enqueue(gone, gone, OneOf(1, says("hr")))
        await product.route(f"Question {number}")
        product.gateway.enqueue(gone, gone, UpstreamRejectedError("too long"))
        await product.route(f"Bad question {number}")
        product.services.breakers.note(LLAMA, None)
        product.services.breakers.note(GRANITE, None)
    assert product.services.breakers.states() == []


async def test_vendors_without_time_for_a_call_are_not_blamed() -> None:
    clock = Clock()
    models = [base_model(facts_of(name)) for name in (LLAMA, GRANITE)]
    breakers = Breakers(clock)
    chain = chain_of(clock, breakers, budget_ms=0)

    async def never(tries: Sequence[ModelAttempt]) -> tuple[int, ModelAnswer]:
        raise AssertionError("nobody is called")

    with pytest.raises(UpstreamTimeoutError):
        await chain.ask_together(models, never, lambda this, given: None)
    assert (chain.attempts, breakers.states()) == ([], [])


def test_a_chain_of_an_older_configuration_closes_no_breaker() -> None:
    breakers = Breakers(Clock())
    breakers.at_revision(7)
    for _ in range(5):
        breakers.note("m", UpstreamTimeoutError("slow"))
    breakers.at_revision(6)
    breakers.at_revision(7)
    assert breakers.is_open("m")
    breakers.at_revision(8)
    assert not breakers.is_open("m")


class SteadyGateway(ScriptedGateway):
    """Answers one step after the other, each after the others had their turn."""

    async def run(self, request: ModelRequest, /) -> ModelAnswer:
        for _ in range(50):
            await asyncio.sleep(0)
        return await super().run(request)


async def test_the_same_question_at_the_same_time_goes_upstream_once(product: Product) -> None:
    gateway = SteadyGateway(says("hr", 0.8))
    busy = Product(product.database, product.services.settings, gateway=gateway)
    answers = await asyncio.gather(*(busy.route("Leave?") for _ in range(5)))
    decisions = [answered.json() for answered in answers]
    assert len(gateway.requests) == 1
    assert {(d["agent"]["id"], d["confidence"]) for d in decisions} == {("hr", 0.8)}
    assert sorted((d["layer"], d["cache"], len(d["attempts"])) for d in decisions) == [
        *[("cache", "hit", 0)] * 4,
        ("llm", "miss", 1),
    ]
    assert len(await busy.logs()) == 5


async def test_all_requests_get_a_shared_failure(product: Product) -> None:
    gateway = SteadyGateway(*[UpstreamNotConfiguredError("n")] * 2)
    busy = Product(product.database, product.services.settings, gateway=gateway)
    answers = await asyncio.gather(*(busy.route("Leave?") for _ in range(3)))
    assert {answered.json()["reason"] for answered in answers} == {"not_configured"}
    assert len(gateway.requests) == 2


async def test_cache_false_shares_nothing(product: Product) -> None:
    gateway = SteadyGateway(says("hr"), says("hr"))
    busy = Product(product.database, product.services.settings, gateway=gateway)
    await asyncio.gather(*(busy.route("Leave?", cache=False) for _ in range(2)))
    assert len(gateway.requests) == 2


@pytest.mark.parametrize("strict_first", [True, False])
async def test_requests_share_a_call_only_if_they_may_get_the_same_models_answers(
    product: Product, strict_first: bool
) -> None:
    """One takes the answer of a fallback model, the other only that of the model it names."""
    gateway = SteadyGateway(*[UpstreamNotConfiguredError("n")] * 2, says("hr", 0.8))
    busy = Product(product.database, product.services.settings, gateway=gateway)
    strict: dict[str, Any] = {"model": LLAMA, "fallback": False}
    order: list[dict[str, Any]] = (
        [strict, {"model": LLAMA}] if strict_first else [{"model": LLAMA}, strict]
    )
    answered = await asyncio.gather(*(busy.route("Leave?", **fields) for fields in order))
    by_strict, other = answered if strict_first else reversed(answered)
    assert (by_strict.status, by_strict.json()["error"]["code"]) == (502, "upstream_not_configured")
    assert (other.status, other.json()["model"]) == (200, GRANITE)


async def test_a_follower_that_waits_too_long_makes_the_call() -> None:
    clock = Clock()
    single_flight = SingleFlight(clock, clock.sleep)
    gone = asyncio.Event()

    async def never() -> str:
        await gone.wait()  # its request was cancelled by the runtime, without a word
        return "late"

    async def at_once() -> str:
        return "made"

    leader = asyncio.ensure_future(single_flight.run("k", never, seconds=5))
    await asyncio.sleep(0)
    assert await single_flight.run("k", at_once, seconds=5) == ("made", True)
    gone.set()
    assert await leader == ("late", True)
