"""What held-out questions count: variants as one, and agents as much as they are of the traffic."""

import random
from collections import Counter

import pytest

from edgeneuro.classifier.calibration import calibrate
from edgeneuro.classifier.examples import FOLDS, OUT_OF_SCOPE, Labelled
from edgeneuro.classifier.features import features
from edgeneuro.classifier.held_out import ONE, UNSEEN_OUT_OF_SCOPE, HeldOut
from edgeneuro.classifier.preparation import prepare
from edgeneuro.classifier.sources import MODEL
from edgeneuro.classifier.training import Training
from edgeneuro.classifier.weights import fair, suspects, weighted
from edgeneuro.domain.query import query_hash
from tests.unit.synthetic_labels import labels, question, trained

CITIES = ("Paris", "Berlin", "New York", "Tokyo", "Rome", "Los Angeles", "Madrid", "Boston")
ORDER = [f"What is the status of my order {number}?" for number in (1234, 99, 5, 777_001)]
WEATHER = [f"what will the weather be like in {city} tomorrow" for city in CITIES]
OTHERS = [
    "please cancel my subscription",
    "do I need an umbrella this afternoon",
    "who do I call about a broken parcel",
    "what is the capital of France",
]


def test_variants_of_a_question_are_one_group_in_one_fold() -> None:
    examples = prepare([Labelled(text, "a") for text in (*ORDER, *WEATHER, *OTHERS)])
    place = {examples.query_hash(index): index for index in range(len(examples))}
    groups = [
        {examples.groups[place[query_hash(text)]] for text in texts} for texts in (ORDER, WEATHER)
    ]
    assert [len(group) for group in groups] == [1, 1]
    assert groups[0] != groups[1]
    assert len(set(examples.groups)) == 2 + len(OTHERS)
    for first in set(examples.groups):
        folds = {
            fold
            for group, fold in zip(examples.groups, examples.folds, strict=True)
            if group == first
        }
        assert len(folds) == 1


def test_variants_of_different_agents_are_no_group() -> None:
    examples = prepare(
        [Labelled(f"turn on the {word} in the kitchen please", word) for word in ("light", "radio")]
    )
    assert len(set(examples.groups)) == 2


def test_out_of_scope_questions_that_a_classifier_deferred_show_no_false_accepts() -> None:
    given = [
        Labelled("who won the match", None, source=MODEL),
        Labelled("explain general relativity", None, hard=True, source=MODEL),
        Labelled("is the stock market open", None, hard=True),
        *[Labelled(text, "a", hard=True, source=MODEL) for text in OTHERS],
    ]
    examples = prepare(given)
    held = [
        HeldOut(UNSEEN_OUT_OF_SCOPE if label < 0 else label, 0, 1.0, 0.0)
        for label in examples.labels
    ]
    indices = range(len(examples))
    counted = fair(weighted(held, indices, examples), indices, examples)
    outside = [one for one in counted if one.label == UNSEEN_OUT_OF_SCOPE]
    assert [len(outside), len(counted)] == [2, 2 + len(OTHERS)]
    assert sum(one.machine for one in outside) == 1


def test_hard_variants_stay_in_the_training() -> None:
    texts = (*ORDER, *OTHERS, *WEATHER)
    examples = prepare([Labelled(text, "a", hard=text == ORDER[0]) for text in texts])
    place = {examples.query_hash(index): index for index in range(len(examples))}
    folds = [examples.folds[place[query_hash(text)]] for text in ORDER]
    assert folds[0] < 0 <= folds[1] == folds[0] + FOLDS
    assert folds[1:] == [folds[1]] * 3


def asked(training: Training) -> list[HeldOut]:
    return weighted(training._held, training._indices, training._examples)


def test_a_group_counts_as_one_question() -> None:
    training = trained([*labels(2, 40), *(Labelled(text, "agent_0") for text in WEATHER)])
    groups: Counter[int] = Counter()
    for one, index in zip(asked(training), training._indices, strict=True):
        groups[training._examples.groups[index]] += one.weight
    assert set(groups.values()) == {ONE}


def test_templates_do_not_vouch_for_each_other() -> None:
    """Nothing in the questions says whose they are, but of each there are 20 that differ in a
    number: one that is held out alone would be recognised by the other 19."""
    chance = random.Random(1)
    texts = [question(chance, f"topic_{number}") for number in range(60)]
    given = [
        Labelled(f"{text} ticket {chance.randrange(10**6)}", f"agent_{number % 3}")
        for number, text in enumerate(texts)
        for _ in range(20)
    ]
    calibration = trained([*given, *labels(0, 0, out_of_scope=60)]).model().calibration
    assert calibration.refusal is not None
    assert calibration.refusal.startswith("no confidence keeps 98.0% accuracy")
    assert (calibration.metrics["accuracy"] or 0) < 0.6


def test_the_traffic_decides_what_a_mistake_counts() -> None:
    """1,000 labels of one agent, 20 of another that the classifier takes for it: of the labels 98 %
    are right, of even traffic half."""
    examples = prepare(
        [Labelled(f"{'x' * (n % 40)} {n} {n * n}", "a" if n < 1_000 else "b") for n in range(1_020)]
    )
    held = [HeldOut(label, 0, 1.0, 0.0) for label in examples.labels]
    indices = range(len(held))

    def accuracy(mix: dict[str, int] | None) -> float:
        counted = weighted(held, indices, examples, mix)
        right = sum(one.weight for one in counted if one.right)
        return right / sum(one.weight for one in counted)

    assert accuracy({"a": 500, "b": 500}) == pytest.approx(0.5, abs=0.01)
    assert accuracy({"a": 900, "b": 100}) == pytest.approx(0.9, abs=0.01)
    counts = {"a": 1_000, "b": 20}
    negatives = [HeldOut(-2, 0, -1.0, -1.5)] * 60
    even = calibrate([*weighted(held, indices, examples, {"a": 1, "b": 1}), *negatives], counts)
    assert even.metrics["accuracy"] == pytest.approx(0.5, abs=0.02)


def test_likely_label_errors_are_found() -> None:
    """Most of them, and the surest are wrong labels indeed."""
    given = labels(3, 80, out_of_scope=60)
    right = {query_hash(one.query): one.agent_id for one in given}
    wrong = {3: "agent_1", 40: "agent_2", 90: "agent_2", 130: "agent_0", 170: "agent_0"}
    flipped = [
        Labelled(one.query, wrong.get(index, one.agent_id)) for index, one in enumerate(given)
    ]
    training = trained(flipped)
    found = training.suspects(training.model().calibration)
    errors = {query_hash(given[index].query): agent for index, agent in wrong.items()}
    caught = [one for one in found if one.query_hash in errors]
    assert len(caught) >= 3
    assert caught[:3] == found[:3]
    for one in caught:
        assert (one.agent_id, one.predicted) == (errors[one.query_hash], right[one.query_hash])
        assert 0.5 < one.score <= 1
    assert len(found) <= 10


def test_a_question_that_the_class_itself_refuses_is_no_suspect() -> None:
    examples = prepare([Labelled("one", "a"), Labelled("two", "b")])
    held = [HeldOut(1 - label, label, -0.1, -0.5) for label in examples.labels]
    assert suspects(held, range(2), examples, (0.0, 1.0, 1.0)) == []
    assert OUT_OF_SCOPE not in examples.labels


def test_a_text_without_common_buckets_has_its_own_group() -> None:
    examples = prepare([Labelled("", "a"), Labelled("!?", "b"), Labelled("hello", "a")])
    assert len(set(examples.groups)) == 3
    assert len(features("")) == 1
