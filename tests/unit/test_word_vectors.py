"""Word vectors in the product: trained with, answered with, and done without."""

import hashlib
from dataclasses import replace
from functools import cache

import pytest

from edgeneuro.classifier.examples import Labelled
from edgeneuro.classifier.model import Model, loads
from edgeneuro.classifier.preparation import prepare
from edgeneuro.classifier.scorer import Scorer
from edgeneuro.classifier.training import Training
from edgeneuro.classifier.vectors import VectorsError, VectorTable, load_table
from edgeneuro.settings import Settings
from edgeneuro.store.classifiers import read_model
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.classifiers import create_agents, install, learned, load, select
from tests.unit.conftest import Product, add_agents, says
from tests.unit.synthetic_labels import QUICK, labels, trained
from tests.unit.trainings import import_labels, train
from tests.varied_questions import TOPICS, questions

AGENTS = sorted(agent for agent in TOPICS if agent != "none")
# No label has its words, but for "the" and "my".
ASKED = "my notebook cannot connect to the internet"


@cache
def with_vectors() -> Model:
    given = [
        Labelled(text, None if agent == "none" else agent)
        for agent in TOPICS
        for text in questions(agent)
    ]
    training = Training(prepare(given, load_table()), replace(QUICK, target=0.9))
    while not training.finished:
        training.step(10_000)
    return training.model()


def no_table() -> VectorTable:
    raise VectorsError("the checksum of the table is wrong: its bytes were changed")


async def answering(
    database: SqliteDatabase, settings: Settings, model: Model, *, table: bool
) -> Product:
    product = Product(database, settings, read_vectors=load_table if table else no_table)
    product.gateway.enqueue(*[says(AGENTS[0])] * 10)
    await create_agents(product, AGENTS)
    install(product, "clf_1", model, agents=AGENTS)
    await select(product, "clf_1")
    await load(product)
    return product


def test_words_that_no_label_has_are_understood() -> None:
    prediction = Scorer(with_vectors(), load_table()).predict(ASKED)
    alone = Scorer(with_vectors()).predict(ASKED)
    assert prediction.agent_id == "it_support"
    assert prediction.probability > 2 * alone.probability


async def test_an_isolate_answers_with_the_vectors(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = await answering(database, settings, with_vectors(), table=True)
    decision = (await product.route(ASKED, explain=True)).json()
    wanted = Scorer(with_vectors(), load_table()).predict(ASKED)
    assert decision["classifier"]["agent_id"] == wanted.agent_id
    assert decision["classifier"]["score"] == pytest.approx(wanted.probability, abs=1e-6)
    assert "vectors_load" not in product.failures.counts


async def test_without_the_table_the_words_themselves_are_asked_and_the_failure_is_counted(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = await answering(database, settings, with_vectors(), table=False)
    for query in (ASKED, "?", "今天天气", "x" * 8_000):
        answered = await product.route(query)
        assert answered.status == 200, answered.text
    known = questions("finance")[0]
    decision = (await product.route(known)).json()
    alone = Scorer(with_vectors()).predict(known)
    assert decision["classifier"]["agent_id"] == alone.agent_id == "finance"
    assert decision["classifier"]["score"] == pytest.approx(alone.probability, abs=1e-6)
    assert product.failures.counts["vectors_load"] == 1
    text = (await product.call("GET", "/metrics")).text
    assert 'edgeneuro_failures_total{what="vectors_load"} 1' in text


async def test_another_table_than_that_of_the_training_is_not_used() -> None:
    other = VectorTable("another", ["my", "notebook", "the"], b"\x77" * 3 * 128)
    assert Scorer(with_vectors(), other).predict(ASKED) == Scorer(with_vectors()).predict(ASKED)


async def test_a_classifier_from_before_goes_on_and_needs_no_table(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = Product(database, settings, read_vectors=no_table)
    product.gateway.enqueue(says("agent_0"))
    await create_agents(product)
    install(product, "clf_1")
    await select(product, "clf_1")
    await load(product)
    assert learned().dense is None
    assert [each.id for each in product.services.classifier.loaded] == ["clf_1"]
    assert not product.failures.counts


def test_a_model_without_vectors_has_the_weights_of_the_version_before() -> None:
    """Made by the version before, of the same labels."""
    model = trained(labels(4, 60, out_of_scope=60)).model()
    digest = "66c2289445ebf799a5a1a57300179aba04d84c48eb1caf1eae5cad99be600eac"
    assert hashlib.sha256(model.weights).hexdigest() == digest
    assert model.scale == 0.009369617372047244


@pytest.mark.parametrize("table", [True, False])
async def test_a_training_uses_the_table_or_says_that_there_is_none(
    database: SqliteDatabase, settings: Settings, table: bool
) -> None:
    read = load_table if table else no_table
    product = await add_agents(Product(database, settings, read_vectors=read))
    await import_labels(product)
    made = await train(product)
    assert made["state"] == "succeeded"
    assert any("table of word vectors" in each for each in made["warnings"]) != table
    model = loads(await read_model(product.database, made["id"]))
    assert (model.dense is not None) == table
    assert (product.failures.counts["vectors_load"] > 0) != table
