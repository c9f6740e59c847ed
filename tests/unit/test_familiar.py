"""How familiar a text is: unknown topics are told from what was learned, at training and in
service alike."""

from dataclasses import replace

import pytest

from edgeneuro.classifier.examples import Labelled
from edgeneuro.classifier.familiar import Familiar, FamiliarBuilder, Familiarity
from edgeneuro.classifier.model import InvalidModelError, Model, dumps, loads
from edgeneuro.classifier.plan import Plan
from edgeneuro.classifier.preparation import prepare
from edgeneuro.classifier.scorer import Scorer
from edgeneuro.classifier.sources import MODEL
from edgeneuro.classifier.thresholds import FAMILIAR, MESSAGES
from edgeneuro.classifier.training import Training
from edgeneuro.classifier.vectors import VectorTable, load_table

TOPICS = {
    "travel": ("book a flight to {}", "find a hotel in {}", "is there a train to {}"),
    "kitchen": ("a recipe for {}", "how long do I cook {}", "how many calories are in {}"),
}
WORDS = {
    "travel": ("paris", "london", "tokyo", "rome", "berlin", "madrid", "vienna", "oslo", "lisbon"),
    "kitchen": ("rice", "chicken", "soup", "bread", "pasta", "beans", "salmon", "eggs", "tofu"),
}
UNKNOWN = ("who won the football game", "explain general relativity", "the stock price of apple")


@pytest.fixture(scope="module")
def table() -> VectorTable:
    return load_table()


def labels() -> list[Labelled]:
    return [
        Labelled(shape.format(word), agent, source=MODEL)
        for agent, shapes in TOPICS.items()
        for shape in shapes
        for word in WORDS[agent]
    ]


def built(table: VectorTable) -> Familiar:
    builder = FamiliarBuilder(prepare(labels(), table), min_examples=1)
    for _ in builder.rounds():
        pass
    found = builder.found()
    assert found is not None
    return found


def test_unknown_topics_raise_the_second_best_score(table: VectorTable) -> None:
    familiar = built(table)
    own = [familiar.raised(table.vector(each.query)) for each in labels()]
    other = [familiar.raised(table.vector(query)) for query in UNKNOWN]
    assert max(own) < min(other)
    assert min(other) > 0.2


def test_a_text_without_a_vector_is_left_as_it_is(table: VectorTable) -> None:
    assert built(table).raised(None) == 0.0


def test_an_example_counts_as_if_it_were_new(table: VectorTable) -> None:
    examples = prepare(labels(), table)
    builder = FamiliarBuilder(examples, min_examples=1)
    for _ in builder.rounds():
        pass
    found = builder.found()
    assert found is not None
    indices = range(len(examples))
    new = list(builder.raised(indices, [False] * len(examples)))
    as_unknown = list(builder.raised(indices, [True] * len(examples)))
    known = [found.raised(examples.vector(at)) for at in indices]
    assert sum(known) < sum(new) < sum(as_unknown)


def test_without_vectors_nothing_is_familiar() -> None:
    builder = FamiliarBuilder(prepare(labels()), min_examples=1)
    assert builder.found() is None
    assert set(builder.raised(range(4), [False] * 4)) == {0.0}


def test_what_is_assumed_of_unknown_topics_depends_on_it(table: VectorTable) -> None:
    examples = prepare(labels(), table)
    assert Familiarity(examples, [], [], min_examples=1).unknown_topics() is FAMILIAR
    assert Familiarity(examples, [], []).unknown_topics() is MESSAGES, "there are too few examples"
    assert FAMILIAR.floor([], 10) == pytest.approx(0.89, abs=0.001)
    assert FAMILIAR.floor([], 10, plateau=0.9) == pytest.approx(0.9 * 0.89, abs=0.001)
    assert FAMILIAR.floor([], 150) < FAMILIAR.floor([], 10) < FAMILIAR.floor([], 2)
    assert MESSAGES.floor([], 10) > 0.95


def trained(table: VectorTable) -> Model:
    training = Training(prepare(labels(), table), Plan(target=0.9))
    training.step(10_000_000)
    assert training.model().familiar is None, "there are too few examples"
    return replace(training.model(), familiar=built(table))


def test_the_model_has_it_and_is_the_same_after_storing(table: VectorTable) -> None:
    model = trained(table)
    data = dumps(model)
    assert loads(data) == model and dumps(loads(data)) == data
    scorer, without = Scorer(loads(data), table), Scorer(replace(model, familiar=None), table)
    known, unknown = "book a flight to paris", UNKNOWN[1]
    fell = [
        without.predict(q).probability - scorer.predict(q).probability for q in (known, unknown)
    ]
    assert fell[0] < fell[1]
    before = replace(model, familiar=None)  # as models were stored before
    assert loads(dumps(before)) == before


def test_centres_that_cannot_be_are_refused(table: VectorTable) -> None:
    damaged = replace(trained(table), familiar=Familiar(256, 1, b"\1" * 255))
    with pytest.raises(InvalidModelError):
        loads(dumps(damaged))
