"""Thresholds from machine labels: the model errs, so the agreement that can be reached is below the
target, and what is answered is right all the same."""

import random
from dataclasses import replace
from math import exp

import pytest

from edgeneuro.classifier.calibration import PARTS, Calibration, calibrate
from edgeneuro.classifier.curve import probability
from edgeneuro.classifier.held_out import ONE, UNSEEN_OUT_OF_SCOPE, HeldOut, accepts
from edgeneuro.classifier.noise import plateau

CLASSES = 10
COUNTS = {f"agent_{number}": 200 for number in range(CLASSES)}


def drawn(chance: random.Random) -> HeldOut:
    """A question with its true label, most of them easy."""
    label = int(chance.random() * CLASSES)
    lead = chance.choice([chance.uniform(0.0, 1.0), chance.uniform(1.0, 2.0)])
    right = chance.random() < 1 / (1 + exp(-6 * lead))
    best = label if right else (label + 1) % CLASSES
    return HeldOut(label, best, lead - 0.2, -0.2, part=int(chance.random() * PARTS))


def by_model(one: HeldOut, chance: random.Random, accuracy: float) -> HeldOut:
    """The same with the label that a model gave."""
    if chance.random() < accuracy:
        return replace(one, machine=True)
    other = (one.label + chance.choice([1, 2, 3])) % CLASSES
    return replace(one, label=other, machine=True)


def unknown(chance: random.Random) -> list[HeldOut]:
    return [HeldOut(UNSEEN_OUT_OF_SCOPE, 0, -0.5, -0.6 - chance.random() * 0.2) for _ in range(100)]


def answered(calibration: Calibration, questions: list[HeldOut]) -> list[HeldOut]:
    return [
        one
        for one in questions
        if accepts(one.top)
        and (least := calibration.thresholds[one.best]) is not None
        and probability(calibration.curve, one.top, one.second) >= least
    ]


@pytest.mark.parametrize("accuracy", [0.94, 0.88])
def test_a_model_that_errs_teaches_answers_that_are_right(accuracy: float) -> None:
    chance = random.Random(1)
    true = [drawn(chance) for _ in range(3_000)]
    held = [by_model(one, chance, accuracy) for one in true] + unknown(chance)
    calibration = calibrate(held, COUNTS)
    assert calibration.refusal is None
    metrics = calibration.metrics
    assert metrics["noise_plateau"] == pytest.approx(accuracy, abs=0.035)
    assert metrics["answered_accuracy"] == pytest.approx(accuracy, abs=0.03)
    fresh = [drawn(chance) for _ in range(5_000)]
    answers = answered(calibration, fresh)
    assert len(answers) > 0.35 * len(fresh)
    assert sum(one.right for one in answers) >= 0.97 * len(answers)


def test_with_the_plain_target_it_would_answer_nothing() -> None:
    chance = random.Random(1)
    held = [by_model(drawn(chance), chance, 0.88) for _ in range(3_000)] + unknown(chance)
    people = [replace(one, machine=False) for one in held]
    calibration = calibrate(people, COUNTS)
    assert calibration.refusal is not None and "noise_plateau" not in calibration.metrics


def test_a_low_plateau_is_refused() -> None:
    """Whether the model or the classifier is that bad cannot be told apart."""
    chance = random.Random(2)
    held = [by_model(drawn(chance), chance, 0.7) for _ in range(1_000)] + unknown(chance)
    calibration = calibrate(held, COUNTS)
    assert set(calibration.thresholds) == {None}
    assert (calibration.refusal or "").startswith("its surest answers agree with the model in ")


def test_the_plateau_is_that_of_the_surest_half() -> None:
    sure = [HeldOut(0, 0, 1.0, 0.0, machine=True)] * 90 + [
        HeldOut(1, 0, 1.0, 0.0, machine=True)
    ] * 10
    rest = [HeldOut(1, 0, 0.5, 0.4, machine=True)] * 100
    assert plateau(sure + rest) == 0.9
    assert plateau([replace(one, machine=False) for one in sure + rest]) is None
    assert plateau(sure[:49]) == 0.0
    assert ONE == sure[0].weight
