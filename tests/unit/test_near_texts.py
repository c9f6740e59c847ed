"""How near a text comes to texts that were learned: at training and in service alike."""

from dataclasses import replace
from math import sqrt

import pytest

from edgeneuro.classifier.examples import Labelled
from edgeneuro.classifier.model import InvalidModelError, Model, dumps, loads
from edgeneuro.classifier.near_texts import MAX_TEXTS, WIDTH, NearTexts, near_texts
from edgeneuro.classifier.plan import Plan
from edgeneuro.classifier.preparation import prepare
from edgeneuro.classifier.scorer import Scorer
from edgeneuro.classifier.sources import MODEL
from edgeneuro.classifier.training import Training
from edgeneuro.classifier.vectors import VectorTable, load_table

SHAPES = {
    "travel": ("book a flight to {}", "find a hotel in {}", "is there a train to {}"),
    "kitchen": ("a recipe for {}", "how long do I cook {}", "how many calories are in {}"),
}
WORDS = {
    "travel": (*("paris", "london", "tokyo", "rome", "berlin", "madrid", "vienna"), "oslo"),
    "kitchen": (*("rice", "chicken", "soup", "bread", "pasta", "beans", "salmon"), "eggs"),
}
KNOWN, UNKNOWN = "find a hotel in prague", "who explained general relativity"


@pytest.fixture(scope="module")
def table() -> VectorTable:
    return load_table()


def labels(source: int = 0, shapes: int = 3) -> list[Labelled]:
    return [
        Labelled(shape.format(word), agent, source=source)
        for agent in SHAPES
        for shape in SHAPES[agent][:shapes]
        for word in WORDS[agent]
    ]


def near(table: VectorTable) -> NearTexts:
    examples = prepare(labels(), table)
    found = near_texts(examples, range(len(examples)))
    assert found is not None
    return found


def cosine(one: bytes | None, other: bytes | None) -> float:
    assert one is not None and other is not None
    a, b = memoryview(one).cast("b")[:WIDTH], memoryview(other).cast("b")[:WIDTH]
    norms = sum(x * x for x in a) * sum(y * y for y in b)
    return sum(x * y for x, y in zip(a, b, strict=True)) / sqrt(norms)


def test_a_class_gains_by_its_nearest_text(table: VectorTable) -> None:
    wanted = []
    for agent in sorted(SHAPES):
        own = [table.vector(each.query) for each in labels() if each.agent_id == agent]
        wanted.append(max(cosine(table.vector(KNOWN), each) for each in own))
    scores, doubt = near(table).judge([0.25, 0.125], table.vector(KNOWN))
    gained = scores[1] - 0.125 - (scores[0] - 0.25)
    assert wanted[1] > wanted[0] + 0.3, "the question is nearer to travel"
    assert gained == pytest.approx(0.5 * (wanted[1] - wanted[0]), abs=0.02)
    assert doubt == pytest.approx(0.65 - wanted[1], abs=0.03), "travel is the best one now"


def test_a_text_that_is_near_to_nothing_is_doubted(table: VectorTable) -> None:
    found = near(table)
    doubts = [found.judge([0.0, 0.5], table.vector(text))[1] for text in (KNOWN, UNKNOWN)]
    assert doubts[1] > doubts[0] + 0.2


def test_without_a_vector_or_a_text_nothing_changes(table: VectorTable) -> None:
    assert near(table).judge([0.5, 0.25], None) == ([0.5, 0.25], 0.0)
    nothing = NearTexts((0, 0), b"")
    assert nothing.judge([0.5, 0.25], table.vector(KNOWN)) == ([0.5, 0.25], 0.0)
    # An agent that joined has the third class.
    scores, doubt = near(table).judge([0.0, 0.0, 2.0], table.vector(KNOWN))
    assert (scores[2], doubt) == (2.0, 0.0)


def test_some_texts_of_each_class_are_kept(table: VectorTable) -> None:
    more = [Labelled(f"a hotel in {word} {n}", "travel") for word in WORDS["travel"] for n in "ab"]
    assert near(table).sizes == (24, 24)
    many = prepare([*labels(), *more], table)
    found = near_texts(many, range(len(many)))
    assert found is not None
    assert found.sizes == (24, MAX_TEXTS)
    assert len(found.numbers) == WIDTH * sum(found.sizes)


def test_not_of_machine_labels_or_without_a_table(table: VectorTable) -> None:
    for examples in (prepare(labels()), prepare(labels(source=MODEL), table)):
        assert near_texts(examples, range(len(examples))) is None


def trained(table: VectorTable, step: int) -> Model:
    examples = prepare(labels(), table)
    training = Training(examples, Plan(target=0.9))
    while not training.finished:
        training.step(step)
        training = Training.resume(training.to_bytes(), examples)
    return training.model()


def test_the_model_has_it_and_is_the_same_after_storing(table: VectorTable) -> None:
    model = trained(table, 100_000)
    data = dumps(model)
    assert dumps(trained(table, 71)) == data, "in other slices"
    assert loads(data) == model and model.near == near(table)
    before = replace(model, near=None)  # as models were stored before
    assert loads(dumps(before)) == before
    scorer, without = Scorer(loads(data), table), Scorer(before, table)
    fell = [
        without.predict(text).probability - scorer.predict(text).probability
        for text in (KNOWN, UNKNOWN)
    ]
    assert fell[0] < fell[1]
    ranked = scorer.rank(KNOWN)
    assert ranked.prediction == scorer.predict(KNOWN)
    assert Scorer(model).predict(KNOWN) == Scorer(before).predict(KNOWN), "without the table"


@pytest.mark.parametrize("sizes", [(24,), (24, 33), (24, -1), (24, 23)])
def test_sizes_that_cannot_be_are_refused(table: VectorTable, sizes: tuple[int, ...]) -> None:
    model = trained(table, 100_000)
    assert model.near is not None
    with pytest.raises(InvalidModelError):
        loads(dumps(replace(model, near=replace(model.near, sizes=sizes))))
