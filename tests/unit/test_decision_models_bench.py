"""The figures of the bench of decision models, computed by hand for a few queries."""

from typing import Any

import pytest

from bench.decision_models import Outcome, figures_of, outcome_of, print_table


def decision(**fields: Any) -> dict[str, Any]:
    """An answer of POST /v1/route for the agent "a", with what `fields` change."""
    return {
        "outcome": "agent",
        "agent": {"id": "a"},
        "reason": None,
        "scores": [{"agent_id": "a", "probability": 0.9}],
        "none_probability": 0.05,
        "attempts": [{"engine": None}],
        "latency_ms": 40,
        "cost_usd": 0.0001,
    } | fields


NOBODY = {"outcome": "none", "agent": None}


def test_a_decision_for_an_agent() -> None:
    found = outcome_of("a", decision())
    assert (found.decided, found.best, found.confidence) == ("a", "a", 0.9)
    assert (found.failure, found.said_none, found.correct_best) == (None, False, True)
    assert (found.ms, found.cost_usd, found.engine) == (40, 0.0001, "-")


def test_a_confidence_below_the_threshold_is_a_decision_for_nobody() -> None:
    scores = [{"agent_id": "a", "probability": 0.3}]
    found = outcome_of("a", decision(**NOBODY, reason="low_confidence", scores=scores))
    assert (found.decided, found.best, found.confidence) == (None, "a", 0.3)
    assert not found.said_none and found.correct_best


def test_no_agent_fits() -> None:
    scores = [{"agent_id": "a", "probability": 0.1}]
    said = decision(**NOBODY, reason="out_of_scope", scores=scores, none_probability=0.9)
    found = outcome_of(None, said)
    assert found.said_none and found.correct_best
    assert (found.best, found.confidence) == (None, 0.9)
    assert not outcome_of("a", said).correct_best


def test_a_failure_that_was_answered() -> None:
    found = outcome_of("a", decision(**NOBODY, reason="invalid_output", scores=[]))
    assert (found.failure, found.confidence, found.ms) == ("invalid_output", None, 40)


def test_a_model_without_a_number_has_no_confidence() -> None:
    found = outcome_of("a", decision(scores=[], none_probability=None))
    assert (found.decided, found.best, found.confidence) == ("a", "a", None)


OUTCOMES = [
    Outcome("a", decided="a", best="a", confidence=0.9, ms=10, cost_usd=0.001),
    Outcome("a", decided="b", best="b", confidence=0.8, ms=20, cost_usd=0.001),
    Outcome("b", decided=None, best="b", confidence=0.2, ms=30, cost_usd=0.002),
    Outcome("b", failure="timeout"),
    Outcome(None, decided=None, said_none=True, best=None, confidence=1, ms=40, cost_usd=0.004),
    Outcome(None, decided="a", best="a", confidence=0.85, ms=50, cost_usd=0.002),
    Outcome(None, decided=None, best="a", confidence=0.25, ms=60, cost_usd=0.002),
    Outcome(None, failure="timeout"),
]


def test_the_figures() -> None:
    found = figures_of(OUTCOMES)
    assert (found.n, found.inside, found.right) == (8, 4, 1)
    assert (found.out_of_scope_recall, found.false_accepts) == (0.25, 0.25)
    assert (found.p50_ms, found.p95_ms) == (30, 60)
    assert found.cost_usd == pytest.approx(0.012 / 6 * 1000)
    assert found.failures == {"timeout": 2}
    # Six answers are six bins; those with 0.2, 0.9 and 1 are correct.
    assert found.ece == pytest.approx((0.8 + 0.25 + 0.8 + 0.85 + 0.1 + 0) / 6, abs=1e-6)


def test_what_is_not_known_is_no_figure() -> None:
    unpriced = Outcome("a", decided="a", best="a", ms=10)
    found = figures_of([unpriced, OUTCOMES[0]])
    assert (found.cost_usd, found.out_of_scope_recall, found.false_accepts) == (None, None, None)
    assert figures_of([unpriced]).ece is None
    nothing = figures_of([Outcome("a", failure="timeout")])
    assert (nothing.p50_ms, nothing.p95_ms, nothing.cost_usd, nothing.ece) == (None,) * 4


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_table({"clef": OUTCOMES, "silent": [Outcome("a", failure="quota")]})
    text = capsys.readouterr().out
    head, rule, clef, silent, *rest = text.splitlines()
    assert len({line.count("|") for line in (head, rule, clef, silent)}) == 1
    assert clef == (
        "| clef | 8 | 25.0% (4.6% to 69.9%) | 25.0% | 25.0% | 0.467 | 30 | 60 | 2.0000 | 2 |"
    )
    assert silent == "| silent | 1 | 0.0% (0.0% to 79.3%) | - | - | - | - | - | - | 1 |"
    assert "clef: 2 failed with timeout" in rest and "silent: 1 failed with quota" in rest
    assert "emulator" not in text
    print_table({"clef": [Outcome("a", decided="a", ms=1, engine="emulated")]})
    assert "These figures say nothing about the models" in capsys.readouterr().out
