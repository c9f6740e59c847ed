"""Learning and serving with dense vectors, against plain arithmetic."""

import random
from array import array
from dataclasses import replace

import pytest

from edgeneuro.classifier.dense import KEPT_NUMBERS, NO_VECTORS, DenseVectors
from edgeneuro.classifier.examples import (
    Examples,
)
from edgeneuro.classifier.learner import DENSE_UNIT, UNIT, Learner
from edgeneuro.classifier.model import InvalidModelError, dumps, loads, quantise_dense
from edgeneuro.classifier.plan import Plan
from edgeneuro.classifier.preparation import prepare
from edgeneuro.classifier.scorer import Scorer
from edgeneuro.classifier.training import Training
from edgeneuro.classifier.vectors import NORM, scaled
from tests.unit.synthetic_labels import labels

CLASSES, WIDTH, BUCKETS = 5, 24, 40


def vector(chance: random.Random, width: int = WIDTH) -> bytes:
    found = scaled([chance.randrange(-100, 101) for _ in range(width)])
    assert found is not None
    return found


def dot(weights: list[float], numbers: bytes) -> float:
    return sum(w * n for w, n in zip(weights, memoryview(numbers).cast("b"), strict=True)) / NORM


class PlainLearner:
    """The same steps in floating point, a loop over classes and features."""

    def __init__(self, parts: int) -> None:
        self.parts = parts
        self.buckets = [[0.0] * CLASSES for _ in range(BUCKETS)]
        self.dense = [[0.0] * CLASSES for _ in range(WIDTH)]

    def scores(self, active: list[int], numbers: bytes | None) -> list[float]:
        found = []
        for label in range(CLASSES):
            score = sum(self.buckets[at][label] for at in active) / len(active) ** 0.5
            if numbers is not None:
                score += dot([row[label] for row in self.dense], numbers)
            found.append(score)
        return found

    def learn(self, active: list[int], label: int, rate: float, numbers: bytes | None) -> None:
        rate /= 1 if numbers is None else 1 + self.parts
        for at, score in enumerate(self.scores(active, numbers)):
            error = min(score - 1, 0) if at == label else max(score + 1, 0)
            for bucket in active:
                self.buckets[bucket][at] -= rate * error / len(active) ** 0.5
            for place, number in enumerate(memoryview(numbers or b"").cast("b")):
                self.dense[place][at] -= rate * error * number / NORM


@pytest.mark.parametrize("parts", [1, 2])
def test_it_learns_what_plain_arithmetic_learns(parts: int) -> None:
    chance = random.Random(parts)
    learner = Learner(CLASSES, buckets=BUCKETS, dense=WIDTH, parts=parts)
    plain = PlainLearner(parts)
    for turn in range(300):
        active = sorted(chance.sample(range(BUCKETS), chance.randrange(1, 20)))
        numbers = None
        if turn % 5:
            numbers = b"".join(vector(chance, WIDTH // parts) for _ in range(parts))
        label, rate = chance.randrange(-1, CLASSES), UNIT // 2 * (300 - turn) // 300
        learner.learn(active, label, rate, numbers)
        plain.learn(active, label, rate / UNIT, numbers)
        assert learner.scores(active, numbers) == pytest.approx(
            plain.scores(active, numbers), abs=0.01
        )
    learner.check()
    for row, wanted in zip(learner.dense_weights(), plain.dense, strict=True):
        assert [each / DENSE_UNIT for each in row] == pytest.approx(wanted, abs=0.01)


def test_a_learner_goes_on_where_its_bytes_were() -> None:
    chance = random.Random(4)
    lessons = [
        (sorted(chance.sample(range(BUCKETS), 9)), chance.randrange(CLASSES), vector(chance))
        for _ in range(40)
    ]
    whole = Learner(CLASSES, buckets=BUCKETS, dense=WIDTH)
    cut = Learner(CLASSES, buckets=BUCKETS, dense=WIDTH)
    for active, label, numbers in lessons:
        whole.learn(active, label, UNIT // 4, numbers)
        cut = Learner.from_bytes(CLASSES, cut.to_bytes(), dense=WIDTH)
        cut.learn(active, label, UNIT // 4, numbers)
    assert cut.to_bytes() == whole.to_bytes()
    assert list(cut.dense_weights()) == list(whole.dense_weights())


def test_vectors_that_are_not_kept_teach_the_same() -> None:
    chance = random.Random(5)
    parts = 40
    vectors = [vector(chance, parts * WIDTH) for _ in range(KEPT_NUMBERS // WIDTH // parts + 50)]
    learner, fresh = (Learner(CLASSES, buckets=BUCKETS, dense=parts * WIDTH) for _ in range(2))
    for numbers in vectors:
        learner.scores([0], numbers)
    for numbers in [*vectors[:50], *vectors[-50:]]:
        for each in (learner, fresh):
            each.learn([0, 7], 1, UNIT // 4, numbers)
    assert learner.to_bytes() == fresh.to_bytes()


def test_dense_weights_that_outgrow_a_field_are_noticed() -> None:
    learner = Learner(3, buckets=BUCKETS, dense=WIDTH)
    numbers = bytes([NORM]) + bytes(WIDTH - 1)
    learner.learn([0], 1, UNIT, numbers)
    learner.check()
    learner.learn([0], 2, UNIT << 9, numbers)
    with pytest.raises(OverflowError, match="beyond 64"):
        learner.check()


def test_dense_weights_are_rounded_so_that_every_sum_fits() -> None:
    rows = [array("i", row) for row in ([DENSE_UNIT, -DENSE_UNIT], [0, DENSE_UNIT // 2])]
    scale, weights = quantise_dense(rows, 1)
    assert list(weights) == [255, 1, 128, 192]
    assert scale == pytest.approx(1 / 127)
    scale, weights = quantise_dense([array("i", [DENSE_UNIT, 0])] * 400, 1)  # a norm of 20
    assert scale == pytest.approx(20 / 1_000, rel=0.01)
    assert sum((each - 128) ** 2 for each in weights) <= 1_001**2


def with_vectors(examples: Examples, width: int, parts: int = 1) -> Examples:
    """Vectors from outside, as of an embedding: they say the label, if there is one."""
    chance = random.Random(2)
    of_label = {label: vector(chance, width) for label in sorted(set(examples.labels))}
    data = b"".join(
        bytes(width) if label < 0 else of_label[label] * parts for label in examples.labels
    )
    return replace(examples, vectors=DenseVectors("outside", width * parts, parts, data))


@pytest.mark.parametrize(("width", "parts"), [(384, 1), (24, 2)])
def test_vectors_of_any_width_are_learned_and_stored(width: int, parts: int) -> None:
    examples = with_vectors(prepare(labels(3, 30, out_of_scope=5)), width, parts)
    assert Examples.from_bytes(examples.to_bytes()) == examples
    training = Training(examples, Plan(epochs=2))
    while not training.finished:
        training.step(50)
        training = Training.resume(training.to_bytes(), examples)
    model = training.model()
    data = dumps(model)
    assert loads(data) == model
    assert data[16:20] == bytes([3, 0, 3, 0])
    scorer = Scorer(loads(data))
    for index in range(20):
        active, label = examples.active(index), examples.labels[index]
        prediction = scorer.score(active, examples.vector(index))
        if label >= 0:
            assert prediction.agent_id == model.classes[label]
        wanted = max(training._learner.scores(active, examples.vector(index)))
        assert prediction.score == pytest.approx(wanted, abs=0.05)


def test_a_model_without_vectors_has_the_bytes_that_it_had() -> None:
    training = Training(prepare(labels(3, 30)), Plan(epochs=1))
    training.step(10_000)
    data = dumps(training.model())
    assert data[16:20] == bytes([1, 0, 2, 0])
    assert training.model().dense is None
    assert loads(data).dense is None


def test_odd_vectors_in_a_header_are_refused() -> None:
    examples = with_vectors(prepare(labels(3, 30)), 8)
    training = Training(examples, Plan(epochs=1))
    training.step(10_000)
    model = training.model()
    assert model.dense is not None
    for changed in (
        replace(model.dense, width=0),
        replace(model.dense, width=9),
        replace(model.dense, width=1 << 40),
        replace(model.dense, parts=0),
    ):
        with pytest.raises(InvalidModelError):
            loads(dumps(replace(model, dense=changed)))


def test_without_vectors_an_example_has_none() -> None:
    examples = prepare(labels(2, 3))
    assert examples.vectors == NO_VECTORS
    assert examples.vector(0) is None
    assert array("b", NO_VECTORS.data).tolist() == []
