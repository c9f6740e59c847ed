"""What an answer may take at most, and how the headers state what is left."""

import pytest

from edgeneuro.access.limits import Estimate, Reservation, estimate
from edgeneuro.domain.key import UNUSED, KeyLimits, Used
from edgeneuro.domain.model import Model, Pricing


def model(pricing: Pricing | None) -> Model:
    return Model(
        id="m",
        created=0,
        owned_by="you",
        type="base",
        base_model="m",
        adapter=None,
        status="available",
        supports_lora=False,
        json_mode=True,
        context_window=None,
        pricing=pricing,
    )


def test_an_estimate_covers_all_attempts_at_each_models_price() -> None:
    priced = model(Pricing(input_per_million=1, output_per_million=10))
    free = model(None)
    assert estimate([priced], 101, 100, attempts=1) == Estimate(201, 0.001101)
    assert estimate([priced], 101, 100) == Estimate(402, 0.002202)
    assert estimate([priced, free], 101, 100) == Estimate(804, 0.002202)
    assert estimate([], 101, 100) == Estimate(0, 0.0)


@pytest.mark.parametrize(
    ("now", "reset"), [(0.0, "1m0s"), (59.01, "1s"), (30.5, "30s"), (-3.0, "1m3s")]
)
def test_resets_are_written_as_openai_does(now: float, reset: str) -> None:
    used = Used(minute=0, minute_requests=1, month=202611, tokens=0, cost_usd=0.0)
    reservation = Reservation("key", KeyLimits(requests_per_minute=3), used, Estimate(), now=now)
    assert reservation.headers() == {
        "x-ratelimit-limit-requests": "3",
        "x-ratelimit-remaining-requests": "2",
        "x-ratelimit-reset-requests": reset,
    }


@pytest.mark.parametrize(
    ("now", "month", "ends"),
    [
        (1_795_435_200.0, "2026-11", 1_796_083_200),
        (1_798_761_599.9, "2026-12", 1_798_761_600),
        (1_798_761_600.0, "2027-01", 1_801_440_000),
    ],
)
def test_months_are_those_of_utc(now: float, month: str, ends: int) -> None:
    used = UNUSED.at(now)
    assert (used.month_name, used.month_ends) == (month, ends)
    assert used.minute_ends - 60 <= now < used.minute_ends


def test_the_rest_of_a_budget_has_no_exponent_and_is_never_negative() -> None:
    limits = KeyLimits(None, 10, 1e-7)
    for cost_usd, left in ((0.0, "0.0000001"), (4e-8, "0.00000006"), (3e-7, "0")):
        used = Used(minute=0, minute_requests=1, month=197001, tokens=12, cost_usd=cost_usd)
        headers = Reservation("key", limits, used, Estimate(), now=0.0).headers()
        assert headers["x-ratelimit-limit-cost-usd"] == "0.0000001"
        assert headers["x-ratelimit-remaining-cost-usd"] == left
        assert headers["x-ratelimit-remaining-tokens"] == "0"
        assert headers["x-ratelimit-reset-tokens"] == "744h0m0s"
