"""Confidence that keeps its word on fresh questions, and refusals that say why."""

import random
from dataclasses import replace
from math import exp

import pytest

from edgeneuro.classifier.calibration import PARTS, Calibration, calibrate
from edgeneuro.classifier.curve import probability
from edgeneuro.classifier.held_out import (
    LEFT_OUT_CLASS,
    UNSEEN_OUT_OF_SCOPE,
    HeldOut,
    accepts,
    does_worse,
    wilson,
)

CLASSES = 4
COUNTS = {f"agent_{number}": 500 for number in range(CLASSES)}


def drawn(chance: random.Random, hard_class: int | None = None) -> HeldOut:
    """A question whose answer is the likelier right the greater the lead of the best score."""
    label, lead = int(chance.random() * CLASSES), chance.random() * 2
    top = chance.gauss(0.5, 0.4)
    steep = 1.0 if label == hard_class else 5.0
    right = chance.random() < 1 / (1 + exp(-steep * lead))
    best = label if right else (label + 1) % CLASSES
    return HeldOut(label, best, top, top - lead)


def out_of_scope(
    chance: random.Random, kind: int = LEFT_OUT_CLASS, count: int = 300
) -> list[HeldOut]:
    return [
        HeldOut(kind, int(chance.random() * CLASSES), -0.5, -0.5 - chance.random() * 0.3)
        for _ in range(count)
    ]


def answers(calibration: Calibration, one: HeldOut) -> bool:
    threshold = calibration.thresholds[one.best]
    sure = probability(calibration.curve, one.top, one.second)
    return accepts(one.top) and threshold is not None and sure >= threshold


def test_a_question_that_the_best_class_refuses_has_a_probability_and_is_never_answered() -> None:
    """Half of them are right, so 0 is no probability of theirs."""
    chance = random.Random(1)
    refused = [HeldOut(number % 2, 0, -0.2, -0.4) for number in range(400)]
    held = [drawn(chance) for _ in range(2_000)] + refused + out_of_scope(chance)
    calibration = calibrate(held, COUNTS, 0.9)
    assert 0.3 < probability(calibration.curve, -0.2, -0.4) < 0.7
    assert not any(answers(calibration, one) for one in refused)


def test_what_is_shown_is_no_better_than_fresh_questions_are() -> None:
    """Each question is judged by thresholds that it had no part in. They come from fewer questions,
    so they are a little shyer."""
    shown = real = 0.0
    for seed in range(10):
        chance = random.Random(seed)
        held = [replace(drawn(chance), part=number % PARTS) for number in range(500)]
        calibration = calibrate([*held, *out_of_scope(chance)], COUNTS, 0.9)
        fresh = [one for one in (drawn(chance) for _ in range(2_000)) if answers(calibration, one)]
        shown += calibration.metrics["answered_accuracy"] or 0
        real += sum(one.right for one in fresh) / len(fresh)
    assert -0.01 < (shown - real) / 10 < 0.004


def test_thresholds_of_other_parts_judge_a_question() -> None:
    """All mistakes are in one part, whose own thresholds would have left them out."""
    chance = random.Random(1)
    good = [
        HeldOut(number % 3, number % 3, 1.0, -1.0, part=number % PARTS) for number in range(900)
    ]
    less = [HeldOut(0, 0, 0.85, -0.85, part=number % 2) for number in range(60)]
    bad = [HeldOut(1, 0, 0.9, -0.9, part=2) for _ in range(20)]
    calibration = calibrate([*good, *less, *bad, *out_of_scope(chance)], COUNTS)
    assert not any(answers(calibration, one) for one in bad)
    assert (calibration.metrics["answered_accuracy"] or 1) < 0.99


def test_false_accepts_are_of_out_of_scope_questions_alone() -> None:
    """Questions of left-out agents are harder to tell and count apart."""
    chance = random.Random(1)
    held = [drawn(chance) for _ in range(2_000)]
    unknown = [HeldOut(UNSEEN_OUT_OF_SCOPE, 0, 1.0, -1.0)] * 3 + out_of_scope(
        chance, UNSEEN_OUT_OF_SCOPE, 97
    )
    siblings = [HeldOut(LEFT_OUT_CLASS, 0, 1.0, -1.0)] * 60 + out_of_scope(chance, count=40)
    metrics = calibrate([*held, *unknown, *siblings], COUNTS, 0.9).metrics
    assert (metrics["out_of_scope"], metrics["false_accepts"]) == (100, 3)
    assert metrics["false_accept_rate"] == 0.03
    assert (metrics["left_out"], metrics["left_out_accept_rate"]) == (100, 0.6)


@pytest.mark.parametrize("target", [0.9, 0.95, 0.98])
def test_fresh_answers_reach_the_target(target: float) -> None:
    kept = 0
    for seed in range(10):
        chance = random.Random(seed)
        held = [drawn(chance) for _ in range(1_500)] + out_of_scope(chance)
        calibration = calibrate(held, COUNTS, target)
        answered = [
            one for one in (drawn(chance) for _ in range(4_000)) if answers(calibration, one)
        ]
        assert len(answered) > 800
        kept += sum(one.right for one in answered) >= target * len(answered)
    assert kept >= 9


def test_an_agent_that_does_worse_needs_more_confidence() -> None:
    chance = random.Random(1)
    held = [drawn(chance, hard_class=2) for _ in range(4_000)] + out_of_scope(chance)
    calibration = calibrate(held, COUNTS, 0.95)
    easy, hard = calibration.thresholds[0], calibration.thresholds[3]
    # What is mistaken is taken for the next class.
    assert easy is not None
    assert hard is None or hard > easy


def test_an_agent_that_never_reaches_the_target_is_not_answered() -> None:
    chance = random.Random(1)
    held = [drawn(chance) for _ in range(3_000)] + out_of_scope(chance)
    held = [
        one if one.best != 1 else HeldOut(int(chance.random() * 2), 1, one.top, one.second)
        for one in held
    ]
    calibration = calibrate(held, COUNTS, 0.95)
    assert calibration.thresholds[1] is None
    assert calibration.reasons == {"agent_1": "no confidence keeps 95.0% accuracy for this agent"}


@pytest.mark.parametrize("more", [20, 60, 199, 200, 201, 400])
def test_more_labels_do_not_silence_an_agent(more: int) -> None:
    """One mistake among so many answers is no worse than the target, be they many or few."""
    chance = random.Random(1)
    held = [HeldOut(agent, agent, 1.0, -1.0) for agent in range(1, CLASSES) for _ in range(400)]
    own = [HeldOut(1 if number == 0 else 0, 0, 1.0, -1.0) for number in range(more)]
    calibration = calibrate([*held, *own, *out_of_scope(chance)], COUNTS)
    assert len(set(calibration.thresholds)) == 1
    assert answers(calibration, own[1])


def test_an_agent_that_no_confidence_helps_leaves_the_others_alone() -> None:
    chance = random.Random(1)
    held = [HeldOut(agent, agent, 1.0, -1.0) for agent in range(1, CLASSES) for _ in range(200)]
    bad = [HeldOut(number % 2, 0, 1.0, -1.0) for number in range(200)]
    calibration = calibrate([*held, *bad, *out_of_scope(chance)], COUNTS)
    assert calibration.thresholds[0] is None
    assert None not in calibration.thresholds[1:]


@pytest.mark.parametrize("kind", [LEFT_OUT_CLASS, UNSEEN_OUT_OF_SCOPE])
def test_unknown_topics_raise_the_threshold(kind: int) -> None:
    chance = random.Random(1)
    held = [drawn(chance) for _ in range(2_000)]
    few = calibrate([*held, *out_of_scope(chance, kind)], COUNTS, 0.9)
    sure_ones = [HeldOut(kind, 0, 0.5, -0.5 - chance.random()) for _ in range(300)]
    many = calibrate([*held, *sure_ones], COUNTS, 0.9)
    assert sum(answers(many, one) for one in sure_ones) <= 60
    assert sum(answers(many, one) for one in held) < sum(answers(few, one) for one in held)


def test_labels_that_no_agent_fits_stand_for_unknown_topics_before_left_out_agents() -> None:
    chance = random.Random(1)
    held = [drawn(chance) for _ in range(2_000)]
    siblings = [HeldOut(LEFT_OUT_CLASS, 0, 1.0, -1.0) for _ in range(100)]
    apart = calibrate([*held, *siblings, *out_of_scope(chance, UNSEEN_OUT_OF_SCOPE)], COUNTS, 0.9)
    alone = calibrate([*held, *siblings], COUNTS, 0.9)
    assert sum(answers(apart, one) for one in held) > sum(answers(alone, one) for one in held)


@pytest.mark.parametrize("counts", [{"a": 500, "b": 4}, {"a": 500}])
def test_it_refuses_one_agent_alone(counts: dict[str, int]) -> None:
    chance = random.Random(1)
    held = [HeldOut(0, 0, 1.0, -1.0)] * 300 + [
        HeldOut(LEFT_OUT_CLASS, 0, -0.5, -0.6) for _ in range(chance.randrange(60, 70))
    ]
    calibration = calibrate(held, counts)
    assert calibration.refusal == "fewer than two agents have 5 labels or more"
    assert calibration.thresholds == (None,) * len(counts)


def test_it_refuses_where_the_scores_say_nothing() -> None:
    chance = random.Random(1)
    held = [
        HeldOut(int(chance.random() * 2), 0, top := chance.random(), top - chance.random() * 2)
        for _ in range(300)
    ]
    calibration = calibrate(held, COUNTS)
    assert calibration.refusal == "no confidence keeps 98.0% accuracy on 300 held-out questions"
    assert set(calibration.thresholds) == {None}
    assert len(calibration.thresholds) == len(COUNTS)


def test_it_refuses_where_its_own_answers_contradict_the_curve() -> None:
    """Few answers, all of them wrong, weigh less than what is known of other trainings; they are
    seen all the same."""
    held = [HeldOut(1, 0, 0.9, -0.9, part=number % PARTS) for number in range(3)]
    held += [HeldOut(number % 2, 1, 0.1, 0.05, part=number % PARTS) for number in range(20)]
    calibration = calibrate(held, COUNTS)
    assert calibration.refusal == "no confidence keeps 98.0% accuracy on 23 held-out questions"


def by_the_usual_curve(chance: random.Random) -> HeldOut:
    label, top, lead = int(chance.random() * CLASSES), chance.gauss(0.4, 0.3), chance.random() * 1.8
    right = chance.random() < 1 / (1 + exp(0.4 - 0.4 * top - 4 * lead))
    return HeldOut(label, label if right else (label + 1) % CLASSES, top, top - lead)


@pytest.mark.parametrize(("count", "coverage"), [(0, 0.1), (10, 0.2), (40, 0.3), (150, 0.35)])
def test_few_questions_are_enough_and_fresh_answers_reach_the_target(
    count: int, coverage: float
) -> None:
    """133 answers without an error would show 98 % by counting alone."""
    answered = right = asked = 0
    for seed in range(10):
        chance = random.Random(seed)
        held = [by_the_usual_curve(chance) for _ in range(count)]
        texts = dict.fromkeys(COUNTS, 5)
        counts = COUNTS if count else dict.fromkeys(COUNTS, 0)
        calibration = calibrate(held, counts, texts=texts)
        assert calibration.refusal is None
        fresh = [by_the_usual_curve(chance) for _ in range(2_000)]
        mine = [one for one in fresh if answers(calibration, one)]
        asked += len(fresh)
        answered += len(mine)
        right += sum(one.right for one in mine)
    assert answered > coverage * asked
    assert right >= 0.98 * answered


def test_the_fewer_questions_the_shyer_it_is() -> None:
    def covered(count: int) -> float:
        found = 0
        for seed in range(8):
            chance = random.Random(seed)
            held = [by_the_usual_curve(chance) for _ in range(count)]
            calibration = calibrate([*held, *out_of_scope(chance, UNSEEN_OUT_OF_SCOPE)], COUNTS)
            found += sum(answers(calibration, by_the_usual_curve(chance)) for _ in range(500))
        return found

    assert covered(10) < covered(100) < covered(1_000)


def test_where_nothing_is_known_of_unknown_topics_it_is_shy() -> None:
    """An assumption stands in place of labels that no agent fits; labels replace it."""
    chance = random.Random(1)
    held = [drawn(chance) for _ in range(2_000)]
    thresholds = [
        calibrate([*held, *out_of_scope(chance, UNSEEN_OUT_OF_SCOPE, count)], COUNTS, 0.9).metrics[
            "out_of_scope_threshold"
        ]
        or 0
        for count in (0, 5, 20, 100)
    ]
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[0] > 0.95 > 0.8 > thresholds[3]
    two = calibrate(held_of_two(), {"a": 50, "b": 50}).metrics["out_of_scope_threshold"]
    assert two is not None and two > thresholds[0]


def held_of_two() -> list[HeldOut]:
    return [HeldOut(number % 2, number % 2, 0.9, -0.9) for number in range(60)]


def test_an_agent_with_a_few_errors_is_raised_and_with_many_silenced() -> None:
    chance = random.Random(2)

    def calibrated(wrong: float) -> tuple[float | None, ...]:
        held = [by_the_usual_curve(chance) for _ in range(1_000)]
        spoiled = [
            HeldOut(1, 0, one.top, one.second) if one.best == 0 and chance.random() < wrong else one
            for one in held
        ]
        unknown = out_of_scope(chance, UNSEEN_OUT_OF_SCOPE)
        return calibrate([*spoiled, *unknown], COUNTS).thresholds

    same, raised, silenced = calibrated(0.0), calibrated(0.06), calibrated(0.5)
    assert len(set(same)) == 1
    assert raised[0] is not None and raised[0] > (raised[2] or 1)
    assert silenced[0] is None and None not in silenced[1:]


def test_an_agent_with_texts_in_place_of_labels_is_answered_if_that_is_certain() -> None:
    chance = random.Random(1)
    held = [by_the_usual_curve(chance) for _ in range(2_000)] + out_of_scope(chance)
    counts, texts = {**COUNTS, "agent_0": 1}, {"agent_0": 4}
    without, with_texts = calibrate(held, counts, 0.9), calibrate(held, counts, 0.9, texts=texts)
    assert without.thresholds[0] is None
    first, second = with_texts.thresholds[:2]
    assert first is not None and second is not None and first >= 0.9 > second


def test_each_figure_has_its_interval() -> None:
    chance = random.Random(1)
    held = [by_the_usual_curve(chance) for _ in range(500)]
    metrics = calibrate([*held, *out_of_scope(chance, UNSEEN_OUT_OF_SCOPE, 80)], COUNTS).metrics
    for name in ("answered_accuracy", "coverage", "false_accept_rate"):
        low, value, high = (metrics[key] for key in (f"{name}_low", name, f"{name}_high"))
        assert low is not None and value is not None and high is not None
        assert low <= value <= high and low < high
    assert metrics["answered"] == round((metrics["coverage"] or 0) * 500)


def test_an_agent_with_few_labels_is_not_answered() -> None:
    chance = random.Random(1)
    held = [drawn(chance) for _ in range(2_000)] + out_of_scope(chance)
    calibration = calibrate(held, {**COUNTS, "agent_0": 4}, 0.9)
    assert calibration.thresholds[0] is None
    assert calibration.thresholds[1] is not None
    assert calibration.reasons == {"agent_0": "4 labels; 5 are needed"}


@pytest.mark.parametrize(
    ("count", "most"), [(10, 1), (20, 2), (60, 3), (200, 7), (400, 13), (2_500, 62)]
)
def test_an_agent_does_worse_from_so_many_mistakes_on(count: int, most: int) -> None:
    """Values of scipy.stats.binom.sf(most, count, 0.02), below 5 % from the next mistake on."""
    assert not does_worse(most, count, 0.98)
    assert does_worse(most + 1, count, 0.98)


def test_wilson_bounds() -> None:
    assert wilson(0, 0) == 0.0
    assert wilson(98, 100) == pytest.approx(0.9300, abs=0.0005)
    assert wilson(98, 100, 1.645) == pytest.approx(0.9934, abs=0.0005)
    assert wilson(132, 132, -1.645) < 0.98 < wilson(133, 133, -1.645)
