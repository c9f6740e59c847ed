"""Coverage against precision: the points of the curve, the hint, and what a month comes to."""

import random
from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.classifier.calibration import PARTS, Calibrator, calibrate
from edgeneuro.classifier.held_out import UNSEEN_OUT_OF_SCOPE, HeldOut
from edgeneuro.classifier.targets import TARGETS, target_points
from edgeneuro.domain.classifier_curve import (
    CurvePoint,
    month_point,
    suggested_target,
    traffic_of,
)
from edgeneuro.domain.savings import DecisionSums
from tests.unit.conftest import Product
from tests.unit.test_app import assert_error
from tests.unit.test_classifier_calibration import COUNTS, answers, drawn, out_of_scope
from tests.unit.trainings import import_labels, train

OWN = 0.96


def test_each_point_is_what_a_training_for_its_target_measures() -> None:
    chance = random.Random(3)
    held = [replace(drawn(chance), part=number % PARTS) for number in range(300)]
    held += out_of_scope(chance, UNSEEN_OUT_OF_SCOPE, 60)
    points = {point.target: point for point in target_points(Calibrator(held, COUNTS), OWN)}
    assert [*points] == sorted({*TARGETS, OWN})
    for target in (OWN, 0.99):
        point, metrics = points[target], calibrate(held, COUNTS, target).metrics
        assert point.held_out == metrics["held_out"] == 300
        assert (point.out_of_scope, point.false_accepts) == (60, metrics["false_accepts"])
        assert (point.coverage, point.answered) == (metrics["coverage"], metrics["answered"])
        assert (point.precision, point.threshold) == (
            metrics["answered_accuracy"],
            metrics["threshold"],
        )
    # So few agents' questions are unlike anything else that the lowest targets change nothing.
    floor = calibrate(held, COUNTS, 0.9).metrics["out_of_scope_threshold"]
    assert [point.threshold == floor for point in points.values()] == [
        point.limited for point in points.values()
    ]
    assert (points[0.8].limited, points[0.995].limited) == (True, False)
    coverages = [point.coverage for point in points.values()]
    assert coverages[0] > coverages[-1]
    fresh = [drawn(chance) for _ in range(2_000)]
    calibration = calibrate(held, COUNTS, 0.9)
    answered = [one for one in fresh if answers(calibration, one)]
    right = sum(one.right for one in answered) / len(answered)
    low, high = points[0.9].precision_low, points[0.9].precision_high
    assert low is not None and high is not None and low < right < high
    assert abs(points[0.9].coverage - len(answered) / len(fresh)) < 0.05


def test_a_target_that_nothing_reaches_answers_nothing() -> None:
    """Half of the answers are wrong, however sure they are."""
    held = [HeldOut(number % 2, 0, 1.0, -1.0, part=number % PARTS) for number in range(400)]
    for point in target_points(Calibrator(held, COUNTS), 0.98):
        assert (point.answered, point.coverage, point.precision) == (0, 0, None)
        assert (point.threshold, point.agents) == (None, 0)
    nothing = [HeldOut(UNSEEN_OUT_OF_SCOPE, 0, -1.0, -1.0)] * 20
    assert [*target_points(Calibrator(nothing, COUNTS), 0.98)] == []


def test_an_agent_has_a_best_precision_if_it_has_answers_enough() -> None:
    sure = [HeldOut(0, 0, 1.0, -1.0) for _ in range(30)]
    less = [HeldOut(number % 2, 0, 0.6, 0.1) for number in range(20)]
    few = [HeldOut(1, 1, 1.0, -1.0) for _ in range(19)]
    calibrator = Calibrator([*sure, *less, *few], COUNTS)
    assert calibrator.best_share(0) == (1.0, 30)
    assert calibrator.best_share(1) is None


def point(target: float, coverage: float, precision: float | None, **more: Any) -> CurvePoint:
    return CurvePoint(
        **{
            **{"target": target, "threshold": 0.9, "agents": 3, "held_out": 500},
            **{"answered": round(500 * coverage), "coverage": coverage},
            **{"coverage_low": coverage - 0.04, "coverage_high": coverage + 0.04},
            **{"precision": precision, "precision_low": None, "precision_high": None},
            **{"out_of_scope": 50, "false_accepts": 1},
            **more,
        }
    )


@pytest.mark.parametrize(
    ("lower", "suggested"),
    [
        ([point(0.95, 0.595, 0.99)], 0.95),
        ([point(0.95, 0.595, 0.979)], None),  # 2.1 points of precision are lost
        ([point(0.95, 0.24, 0.99)], None),  # 9 points more
        ([point(0.95, 0.595, 0.99, coverage_low=0.18)], None),  # it may be chance
        ([point(0.9, 0.8, 0.95), point(0.95, 0.595, 0.99)], 0.95),
        ([point(0.93, 0.7, 0.985), point(0.95, 0.7, 0.985)], 0.95),
    ],
)
def test_a_lower_target_is_suggested_if_it_answers_clearly_more(
    lower: list[CurvePoint], suggested: float | None
) -> None:
    assert suggested_target([*lower, point(0.98, 0.149, 1.0)], 0.98) == suggested


def test_of_a_training_that_answers_nothing_the_target_is_the_precision_to_lose() -> None:
    refused = point(0.98, 0, None, coverage_high=0.01, answered=0)
    assert suggested_target([point(0.95, 0.5, 0.965), refused], 0.98) == 0.95
    assert suggested_target([point(0.95, 0.5, 0.955), refused], 0.98) is None
    assert suggested_target([point(0.95, 0.06, 0.99), refused], 0.98) is None, "30 answers"


def test_a_month_counts_what_reaches_the_classifier_and_the_models_share_of_it() -> None:
    stages = {
        "rule": DecisionSums(100),
        "classifier": DecisionSums(300),
        "stored_cache": DecisionSums(120),
        "model": DecisionSums(480, priced=400, cost_usd=0.8),
    }
    traffic = traffic_of(stages, days=15.0)
    assert (traffic.decisions, traffic.per_month) == (1_000, 1_800)
    assert (traffic.model_share, traffic.mean_cost_usd, traffic.unpriced) == (0.8, 0.002, None)
    month = month_point(point(0.95, 0.5, 0.99), traffic)
    assert (month.answered_per_month, month.saved_usd_per_month) == (900, 1.44)


@pytest.mark.parametrize(
    ("stages", "why"),
    [
        ({"model": DecisionSums(200, priced=200, cost_usd=1.0, emulated=1)}, "emulated"),
        ({"model": DecisionSums(200)}, "no_price"),
        ({"classifier": DecisionSums(200)}, "no_model_decisions"),
    ],
)
def test_no_savings_are_stated_if_nobody_pays_or_no_price_is_known(
    stages: dict[str, DecisionSums], why: str
) -> None:
    traffic = traffic_of(stages, days=30.0)
    month = month_point(point(0.95, 0.5, 0.99), traffic)
    assert (traffic.unpriced, month.answered_per_month, month.saved_usd_per_month) == (
        why,
        100,
        None,
    )


def test_few_decisions_make_no_month() -> None:
    few = traffic_of({"model": DecisionSums(99, priced=99, cost_usd=1.0)}, days=1.0)
    assert few.per_month is None
    assert month_point(point(0.95, 0.5, 0.99), few).saved_usd_per_month is None


async def curve(product: Product, classifier_id: str) -> dict[str, Any]:
    answered = await product.call("GET", f"/v1/classifiers/{classifier_id}/curve")
    assert answered.status == 200, answered.text
    found: dict[str, Any] = answered.json()
    return found


async def test_a_training_stores_its_curve(product: Product) -> None:
    await import_labels(product)
    made = await train(product)
    found = await curve(product, made["id"])
    assert (found["target"], found["basis"], found["message"]) == (0.9, "human labels", None)
    assert [each["target"] for each in found["points"]] == [*TARGETS]
    [own] = [each for each in found["points"] if each["target"] == 0.9]
    metrics = made["metrics"]
    assert (own["coverage"], own["precision"], own["answered"], own["held_out"]) == (
        metrics["coverage"],
        metrics["answered_accuracy"],
        metrics["answered"],
        metrics["held_out"],
    )
    assert (own["out_of_scope"], own["false_accepts"]) == (
        metrics["out_of_scope"],
        metrics["false_accepts"],
    )
    assert own["answered_per_month"] is None, "nothing is logged"
    assert sum(each["answered"] for each in made["per_agent"]) == metrics["answered"]
    assert all(each["best_precision"] == 1 for each in made["per_agent"])

    product.execute("UPDATE classifiers SET curve = NULL")
    old = await curve(product, made["id"])
    assert (old["points"], old["suggested"]) == ([], None)
    assert "Train again to see it" in old["message"]
    product.execute("UPDATE classifiers SET curve = '[{}]'")
    assert (await curve(product, made["id"]))["points"] == []
    missing = await product.call("GET", "/v1/classifiers/clf_none/curve")
    assert_error(missing, 404, "unknown_classifier", "classifier_id")
