"""Agents' names, phrases of descriptions and examples as examples of a training."""

import json

import pytest

from edgeneuro.classifier.agent_texts import MAX_PHRASES, agent_texts, phrases
from edgeneuro.classifier.examples import (
    Examples,
    Labelled,
)
from edgeneuro.classifier.model import dumps
from edgeneuro.classifier.plan import Plan
from edgeneuro.classifier.preparation import prepare
from edgeneuro.classifier.scorer import Scorer
from edgeneuro.classifier.sources import AGENT_TEXT, HUMAN
from edgeneuro.classifier.training import Training
from edgeneuro.domain.agent import Agent
from tests.unit.conftest import Product
from tests.unit.synthetic_labels import QUICK, labels, trained, words
from tests.unit.trainings import AGENTS, import_labels, train


def agent(agent_id: str = "travel", **fields: object) -> Agent:
    values = {"name": "Travel", "description": "Travel", "examples": [], **fields}
    unset = dict.fromkeys(("endpoint", "system_prompt", "model"))
    time = "2026-01-01T00:00:00Z"
    return Agent.model_validate(
        {"id": agent_id, **values, **unset, "protocol": "openai", "enabled": True}
        | {"default": False, "created_at": time, "updated_at": time}
    )


@pytest.mark.parametrize(
    ("description", "found"),
    [
        ("Business trips: flights, hotels.", ["Business trips", "flights", "hotels"]),
        ("Leave and holidays", ["Leave", "holidays"]),
        ("HR. Do not use for payroll, taxes. Leave", ["HR", "Leave"]),
        ("Questions about bills, not about refunds, returns", ["Questions about bills"]),
        (
            "E-mail and v3.5 of a.example, 1,000 items",
            ["E-mail", "v3.5 of a.example", "1,000 items"],
        ),
        ("- VPN\n- Laptops", ["VPN", "Laptops"]),
        ("口座、振込。残高", ["口座", "振込", "残高"]),
        ("Not for anything", ["Not for anything"]),
        ("…", ["…"]),
    ],
)
def test_a_description_is_cut_into_what_the_agent_is_for(
    description: str, found: list[str]
) -> None:
    assert phrases(description) == found


def test_the_texts_of_an_agent_are_its_name_its_phrases_and_its_examples_each_once() -> None:
    given = agent(name="Trips", description="Trips, hotels", examples=["A room", "hotels"])
    assert agent_texts(given) == ["Trips", "hotels", "A room"]
    many = ", ".join(f"thing {number}" for number in range(100))
    assert len(phrases(many)) == MAX_PHRASES


def texts_of(number: int, count: int = 8) -> list[Labelled]:
    agent_id = f"agent_{number}"
    own = words(agent_id)
    return [
        Labelled(f"{own[at]} {own[at + 1]} {own[at + 2]}", agent_id, source=AGENT_TEXT)
        for at in range(count)
    ]


def test_nothing_but_texts_make_a_model_that_guesses_right() -> None:
    training = trained([each for number in range(4) for each in texts_of(number)])
    scorer = Scorer(training.model())
    assert training.model().labels == 0
    for number in range(4):
        assert scorer.predict(words(f"agent_{number}")[4]).agent_id == f"agent_{number}"


def test_texts_are_no_labels_and_are_not_held_out() -> None:
    given = labels(3, 60, out_of_scope=60)
    texts = [each for number in range(3) for each in texts_of(number)]
    without, beside = trained(given), trained([*given, *texts])
    assert beside.model().labels == without.model().labels == len({each.query for each in given})
    held = ("held_out", "out_of_scope", "left_out")
    one, other = (each.model().calibration.metrics for each in (without, beside))
    assert [one[name] for name in held] == [other[name] for name in held]
    assert dumps(without.model()) != dumps(beside.model())


def test_a_label_of_the_same_text_counts_instead() -> None:
    [text, *others] = texts_of(0)
    examples = prepare([text, *others, Labelled(text.query, "agent_1")])
    [at] = [at for at in range(len(examples)) if examples.sources[at] == HUMAN]
    assert examples.classes[examples.labels[at]] == "agent_1"
    assert (len(examples), examples.conflicts) == (1 + len(others), 0)


def test_a_text_that_two_agents_have_in_common_teaches_nothing() -> None:
    same = [Labelled("all about pay", name, source=AGENT_TEXT) for name in ("a", "b")]
    examples = prepare([*same, *texts_of(0)])
    assert (examples.classes, examples.conflicts) == (("agent_0",), 0)


def test_a_text_that_is_almost_a_held_out_label_does_not_make_it_easier() -> None:
    own = words("agent_0")
    asked = [f"how can i {own[at]} {own[at + 1]} please" for at in range(6)]
    twins = [Labelled(f"{each} now", "agent_0", source=AGENT_TEXT) for each in asked]
    given = labels(3, 40)
    examples = prepare([*given, *(Labelled(each, "agent_0") for each in asked), *twins])
    training = Training(examples, QUICK)
    texts = [at for at in range(len(examples)) if examples.is_text(at)]
    in_groups = [at for at in texts if examples.groups[at] in examples.labelled_groups()]
    assert in_groups
    learned = set(training._members()[0])
    for at in texts:
        own_fold = at in in_groups and examples.folds[at] % 5 == training._passes[0]
        assert (at in learned) is not own_fold


def test_sliced_it_is_the_same_model() -> None:
    given = [*labels(3, 25, out_of_scope=5), *texts_of(0), *texts_of(2)]
    examples = prepare(given)
    whole = trained(given, Plan(seed=7, epochs=2)).model()
    state, finished = Training(examples, Plan(seed=7, epochs=2)).to_bytes(), False
    while not finished:
        training = Training.resume(state, Examples.from_bytes(examples.to_bytes()))
        training.step(41)
        state, finished = training.to_bytes(), training.finished
    assert dumps(training.model()) == dumps(whole)


async def test_a_training_learns_the_agents_texts_and_counts_them_apart(product: Product) -> None:
    await import_labels(product)
    made = await train(product)
    progress = made["progress"]
    agents = (await product.call("GET", "/v1/agents")).json()["data"]
    given = [agent_texts(Agent.model_validate(each)) for each in agents]
    assert progress["agent_texts"] == sum(map(len, given)) > 0
    assert progress["agent_texts_to"] == max(AGENTS)
    assert made["labels"] == progress["prepared"] == made["data"]["labels"] > 0


async def test_another_description_makes_another_model(product: Product) -> None:
    await import_labels(product)
    before = await train(product)
    body = {"description": "Payroll, bonuses", "examples": ["When is payday?"]}
    assert (await product.call("PATCH", "/v1/agents/hr", body)).status == 200
    after = await train(product, seed=0)
    assert before["version"] != after["version"]
    assert json.dumps(before["data"]) == json.dumps(after["data"])
