"""The classifier in a conversation: what it makes of the turn before a message, in a request."""

import random
from functools import cache
from typing import Any

import pytest

from edgeneuro.classifier.model import Model
from edgeneuro.classifier.plan import Plan
from edgeneuro.store.usage import add_new_logs
from tests.unit.classifiers import AGENTS, create_agents, install, load, select
from tests.unit.conftest import Product, says
from tests.unit.synthetic_dialogues import dialogues
from tests.unit.synthetic_labels import labels, question, trained

YES = "yes please, the second one"
RULE = "nothing is learned of its conversations, so the agent of the turn before stays"


@cache
def with_conversations() -> Model:
    plan = Plan(epochs=4, target=0.9)
    return trained([*labels(3, 40, out_of_scope=60), *dialogues(3, 60)], plan).model()


@cache
def of_messages() -> Model:
    return trained(labels(3, 60, out_of_scope=60), Plan(epochs=4, target=0.9)).model()


def about(agent: str, seed: int = 3) -> str:
    """A message that says plainly what it is about."""
    chance = random.Random(seed)
    return f"{question(chance, agent)} {question(chance, agent)}"


@pytest.fixture
async def product(empty_product: Product) -> Product:
    """With a classifier that knows single messages alone."""
    await _set_up(empty_product, of_messages())
    return empty_product


@pytest.fixture
async def taught(empty_product: Product) -> Product:
    """With one that was taught conversations."""
    await _set_up(empty_product, with_conversations())
    return empty_product


async def _set_up(product: Product, model: Model) -> None:
    await create_agents(product)
    install(product, "clf_1", model)
    await select(product, "clf_1")
    product.gateway.enqueue(says("agent_0"))
    await load(product)
    product.gateway.requests.clear()


async def ask(product: Product, query: str, **context: Any) -> dict[str, Any]:
    product.gateway.enqueue(says("agent_0"))
    answered = await product.route(query, context=context or None, explain=True)
    assert answered.status == 200, answered.text
    decision: dict[str, Any] = answered.json()
    return decision


def decided(decision: dict[str, Any]) -> tuple[str, str, bool]:
    return decision["agent"]["id"], decision["layer"], decision["follow_up"]


def reason(decision: dict[str, Any]) -> str | None:
    """Of the classifier's stage."""
    stages = {each["name"]: each["reason"] for each in decision["explanation"]["stages"]}
    found: str | None = stages["classifier"]
    return found


async def test_a_follow_up_stays_with_its_agent_by_the_rule(product: Product) -> None:
    found = await ask(product, YES, previous_agent="agent_2", previous_assistant="Which one?")
    assert decided(found) == ("agent_2", "session", True)
    assert (found["calibrated"], found["cost_usd"], reason(found)) == (False, 0, RULE)
    assert found["classifier"]["agent_id"] == "agent_2" and found["classifier"]["sure"]
    assert product.gateway.requests == []
    row = (await product.logs())[0]
    assert (row["layer"], row["agent_id"], row["cache"]) == ("session", "agent_2", "miss")
    explained = await product.call("GET", f"/v1/logs/{row['id']}")
    assert explained.status == 200, explained.text
    await add_new_logs(product.database)
    [hour] = product.rows(
        "SELECT sum(asked) AS asked, sum(answered) AS answered FROM classifier_hours"
    )
    assert (hour["asked"], hour["answered"]) == (1, 1)


async def test_by_the_rule_a_message_that_is_sure_leaves(product: Product) -> None:
    found = await ask(product, about("agent_1"), previous_agent="agent_2")
    assert decided(found) == ("agent_1", "classifier", False)
    assert found["calibrated"]
    assert reason(found) == "the message leaves the agent of the turn before"


async def test_what_was_learned_of_conversations_decides(taught: Product) -> None:
    found = await ask(taught, YES, previous_agent="agent_2", previous_assistant="Which one?")
    assert decided(found) == ("agent_2", "classifier", True)
    assert (found["calibrated"], reason(found)) == (True, "the message continues the turn before")
    assert found["confidence"] >= found["classifier"]["threshold"]
    left = await ask(taught, about("agent_1"), previous_agent="agent_2")
    assert decided(left) == ("agent_1", "classifier", False)
    assert taught.gateway.requests == []


async def test_without_a_context_a_reply_is_for_the_model(taught: Product) -> None:
    found = await ask(taught, YES)
    assert decided(found) == ("agent_0", "llm", False)
    assert reason(found) == "it is not sure"


async def test_the_agent_before_is_told_from_what_the_user_said(taught: Product) -> None:
    found = await ask(taught, YES, previous_user=about("agent_2"))
    assert decided(found) == ("agent_2", "classifier", True)
    unknown = await ask(taught, YES, previous_user="and the other one?")
    assert decided(unknown)[1:] == ("llm", False)
    assert reason(unknown) == "it is not sure; the agent of the turn before is not known"
    enough = await ask(taught, about("agent_1"), previous_user="and the other one?")
    assert decided(enough) == ("agent_1", "classifier", False)


async def test_a_disabled_or_forbidden_agent_is_not_kept(taught: Product) -> None:
    taught.gateway.enqueue(says("agent_0"))
    named = await taught.route(
        YES, context={"previous_agent": "agent_2"}, candidates=["agent_0", "agent_1"]
    )
    assert (named.json()["layer"], named.json()["follow_up"]) == ("llm", False)
    await taught.call("PATCH", "/v1/agents/agent_2", {"enabled": False})
    found = await ask(taught, YES, previous_agent="agent_2")
    assert decided(found) == ("agent_0", "llm", False)
    deleted = await ask(taught, f"{YES} then", previous_agent="nobody_has_this")
    assert decided(deleted) == ("agent_0", "llm", False)


async def test_an_unsure_follow_up_is_asked_of_the_model(taught: Product) -> None:
    await select(taught, "clf_1", confidence_threshold=1.0)
    found = await ask(taught, about("agent_1"), previous_agent="agent_2")
    assert (found["layer"], found["classifier"]["sure"]) == ("fallback", False)
    assert reason(found) is not None and str(reason(found)).startswith("it is not sure; ")


async def test_a_model_that_names_the_agent_before_made_a_follow_up(product: Product) -> None:
    await select(product, None)
    product.gateway.enqueue(says("agent_2"))
    answered = await product.route(YES, context={"previous_agent": "agent_2"})
    assert (answered.json()["layer"], answered.json()["follow_up"]) == ("llm", True)


async def test_the_same_message_in_another_context_is_another_question(taught: Product) -> None:
    for agent in AGENTS:
        found = await ask(taught, YES, previous_agent=agent, previous_assistant="Which one?")
        assert decided(found) == (agent, "classifier", True)
