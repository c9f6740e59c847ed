"""bench/decision_likelihood.py: the two ways of asking one model, and their figures."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.decision_likelihood import (
    Measured,
    Outcome,
    decide_all,
    domain_agents,
    expected_calibration_error,
    is_right,
    report,
    write_all,
)
from local.engines.transformers_engine.base import load_base
from local.engines.transformers_engine.engine import TransformersEngine
from tests.tiny_llama import one_thread

OUTCOMES = [
    Outcome("travel", 0.95),
    Outcome("work", 0.85),
    Outcome(None),
    Outcome(None, failed=True),
]
TRUTHS = ["travel", "travel", "work", "work"]


@pytest.fixture(autouse=True)
def of_one_thread() -> Iterator[None]:
    with one_thread():
        yield


async def test_one_model_is_asked_in_both_ways(tiny_llama: Path) -> None:
    engine = TransformersEngine(load_base(str(tiny_llama), "float32"))
    queries = ["book a flight", "what is my balance"]
    try:
        by_likelihood = await decide_all(engine, domain_agents(), queries)
        by_json = await write_all(engine, domain_agents(), queries)
    finally:
        await engine.aclose()
    ids = {agent.id for agent in domain_agents()}
    for outcome in by_likelihood.outcomes:
        assert outcome.agent in {*ids, None}
        assert outcome.probability is not None
        assert 1 / 11 <= outcome.probability <= 1
    # A model of random weights writes no JSON.
    assert by_json.outcomes == [Outcome(None, failed=True)] * 2


def test_what_is_right() -> None:
    assert [is_right(*each) for each in zip(TRUTHS, OUTCOMES, strict=True)] == [
        *(True, False, False, False)
    ]


def test_the_calibration_error_is_over_the_stated_probabilities() -> None:
    # In one bin a right 0.95, in the next a wrong 0.85.
    text = expected_calibration_error(TRUTHS, OUTCOMES)
    assert text == "ECE 0.450 of 2"


def test_the_report_has_interval_and_what_was_said(capsys: pytest.CaptureFixture[str]) -> None:
    report("by JSON", TRUTHS, Measured(OUTCOMES, 8.0))
    printed = capsys.readouterr().out
    assert "25.0% [4.6%, 69.9%] right (1)" in printed
    assert "2.00 s a query" in printed
    assert "unreadable 1" in printed
