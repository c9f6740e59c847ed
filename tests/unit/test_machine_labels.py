"""Machine labels: which decisions in the log are some, and why others are not."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from edgeneuro.controlplane.learning.machine_labels import find_machine_labels
from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.machine_label import MachineLabels
from edgeneuro.errors import UpstreamCapacityError
from edgeneuro.gateway.interface import ModelAnswer
from edgeneuro.store.database import Statement
from edgeneuro.store.machine_labels import Wanted, read_machine_labels, select_candidates
from tests.unit.chats import chat, talks, user
from tests.unit.classifiers import create_agents, install, known, load, select
from tests.unit.conftest import Product, says
from tests.unit.invocations import invocation

LEAVE = "How many days of leave do I have?"
NEARLY = "Please tell me how many days of leave do I have"
OTHER = "@cf/meta/llama-3.1-8b-instruct-fp8"
Happens = Callable[[Product], Awaitable[object]]


async def found(product: Product, router: str = "default", **options: Any) -> MachineLabels:
    with invocation():
        config = (await product.services.routing.fresh()).for_router(router)
        assert config is not None
        return await find_machine_labels(product.services, config, **{"turns": 100, **options})


async def texts(product: Product, labels: MachineLabels) -> list[tuple[str, str]]:
    rows = await read_machine_labels(product.database, [each.seq for each in labels.single])
    agents = {each.seq: each.agent for each in labels.single}
    return [(agents[row["seq"]], row["query"]) for row in rows]


async def ask(product: Product, agent: str = "hr", confidence: float = 0.9, **fields: Any) -> str:
    product.gateway.enqueue(says(agent, confidence))
    answered = await product.route(fields.pop("query", LEAVE), **fields)
    assert answered.status == 200, answered.text
    decision_id: str = answered.json()["id"]
    return decision_id


async def changed(product: Product, method: str, path: str, body: Any = None) -> Any:
    answered = await product.call(method, path, body)
    assert answered.status < 300, answered.text
    return answered.json()


async def config(product: Product, **settings: Any) -> None:
    await changed(product, "PATCH", "/v1/config", settings)


async def key_for_hr(product: Product) -> str:
    body = {"name": "k", "scopes": ["route"], "agents": ["hr", "general"]}
    key: str = (await changed(product, "POST", "/v1/keys", body))["key"]
    return key


# What happens, and what comes of it.


async def plain(product: Product) -> None:
    await ask(product)


async def none_fits(product: Product) -> None:
    await ask(product, "none")


async def none_fits_in_an_older_row(product: Product) -> None:
    await ask(product, "none")
    spaced = """replace(replace(stages, '":', '": '), ',"', ', "')"""
    product.execute(f"UPDATE logs SET stages = {spaced}")


async def none_fits_and_nobody_answers(product: Product) -> None:
    await ask(product, "none", on_no_fit="none")


async def again_from_the_cache(product: Product) -> None:
    await ask(product)
    for _ in range(3):
        assert (await product.route(LEAVE)).json()["layer"] == "cache"


async def none_again_from_the_cache(product: Product) -> None:
    await ask(product, "none")
    assert (await product.route(LEAVE)).json()["cache"] == "hit"


async def a_chat(product: Product) -> None:
    product.gateway.enqueue(says("hr"), talks())
    assert (await chat(product, "auto", messages=[user(LEAVE)])).status == 200


async def a_chat_that_fits_nobody(product: Product) -> None:
    product.gateway.enqueue(says("none"), talks())
    assert (await chat(product, "auto", messages=[user(LEAVE)])).status == 200


async def a_fallback_model(product: Product) -> None:
    product.gateway.enqueue(*[UpstreamCapacityError("busy")] * 2)
    await ask(product)


async def thanks(product: Product) -> None:
    decision_id = await ask(product)
    signal(product, decision_id, "thanks")


async def praised(product: Product) -> None:
    decision_id = await ask(product)
    await changed(product, "POST", "/v1/feedback", {"decision_id": decision_id, "value": "up"})


async def renamed(product: Product) -> None:
    await ask(product)
    await changed(product, "PATCH", "/v1/agents/hr", {"name": "People"})


async def test_each_names_its_model(product: Product) -> None:
    await ask(product)
    product.gateway.enqueue(*[UpstreamCapacityError("busy")] * 2)
    await ask(product, query="Something else about leave")
    assert [each.model for each in (await found(product)).single] == [1, 0]


async def not_stated(product: Product) -> None:
    product.gateway.enqueue(ModelAnswer(content={"agent": "hr"}))
    assert (await product.route(LEAVE)).json()["confidence"] is None


@pytest.mark.parametrize(
    ("happens", "agent"),
    [
        (plain, "hr"),
        (none_fits, NO_AGENT),
        (none_fits_and_nobody_answers, NO_AGENT),
        (again_from_the_cache, "hr"),
        (none_fits_in_an_older_row, NO_AGENT),
        (none_again_from_the_cache, NO_AGENT),
        (a_chat, "hr"),
        (a_chat_that_fits_nobody, NO_AGENT),
        (a_fallback_model, "hr"),
        (thanks, "hr"),
        (praised, "hr"),
        (renamed, "hr"),
        (not_stated, "hr"),
    ],
)
async def test_what_a_model_decided_is_one(product: Product, happens: Happens, agent: str) -> None:
    await happens(product)
    labels = await found(product)
    assert (labels.counts, labels.left_out, labels.turns) == ({agent: 1}, {}, [])
    assert await texts(product, labels) == [(agent, LEAVE)]


def signal(product: Product, decision_id: str, kind: str) -> None:
    product.execute(
        "INSERT INTO signals (id, log_id, created_at, kind, agent_id, key_id)"
        f" VALUES ('sig_{decision_id}', '{decision_id}', 0, '{kind}', 'hr', 'k')"
    )


async def unsure(product: Product) -> None:
    await ask(product, confidence=0.79)


async def unsure_that_none_fits(product: Product) -> None:
    await ask(product, "none", 0.79)


async def for_some_agents(product: Product) -> None:
    await ask(product, candidates=["hr", "general"])


async def by_a_key_for_some_agents(product: Product) -> None:
    product.gateway.enqueue(says("hr"))
    key = await key_for_hr(product)
    assert (await product.call("POST", "/v1/route", {"query": LEAVE}, key=key)).status == 200


async def in_a_chat_by_a_key_for_some_agents(product: Product) -> None:
    product.gateway.enqueue(says("hr"), talks())
    body = {"name": "k", "scopes": ["route"], "agents": ["hr", "general"]}
    key = (await changed(product, "POST", "/v1/keys", body))["key"]
    sent = {"model": "auto", "messages": [user(LEAVE)]}
    assert (await product.call("POST", "/v1/chat/completions", sent, key=key)).status == 200


async def a_rule_excludes(product: Product) -> None:
    rule = {"when": {}, "then": {"never": ["it_support"]}}
    await changed(product, "POST", "/v1/rules", rule)
    await ask(product)


async def blamed(product: Product) -> None:
    decision_id = await ask(product)
    await changed(product, "POST", "/v1/feedback", {"decision_id": decision_id, "value": "down"})


async def blamed_in_a_near_duplicate(product: Product) -> None:
    await ask(product)
    decision_id = (await product.route(LEAVE)).json()["id"]  # cached
    await changed(product, "POST", "/v1/feedback", {"decision_id": decision_id, "value": "down"})


async def asked_in_other_words(product: Product) -> None:
    signal(product, await ask(product), "rephrased")


async def a_human_was_wanted(product: Product) -> None:
    signal(product, await ask(product), "human_wanted")


async def handed_back(product: Product) -> None:
    signal(product, await ask(product), "not_mine")


async def labeled(product: Product) -> None:
    await changed(product, "PUT", f"/v1/logs/{await ask(product)}/label", {"agent_id": "general"})


async def labeled_with_the_same_agent(product: Product) -> None:
    await changed(product, "PUT", f"/v1/logs/{await ask(product)}/label", {"agent_id": "hr"})


async def nearly_the_same_is_labeled(product: Product) -> None:
    await ask(product)
    await changed(product, "POST", "/v1/labels", [{"query": NEARLY, "agent_id": "general"}])


async def the_caller_names_another_model(product: Product) -> None:
    await ask(product, model=OTHER)


async def the_model_was_replaced(product: Product) -> None:
    await ask(product)
    await config(product, routing_model=OTHER, fallback_models=[])


async def the_agent_is_disabled(product: Product) -> None:
    await ask(product)
    await changed(product, "PATCH", "/v1/agents/hr", {"enabled": False})


async def the_agent_is_deleted(product: Product) -> None:
    await ask(product)
    await changed(product, "DELETE", "/v1/agents/hr")


@pytest.mark.parametrize(
    ("happens", "why"),
    [
        (unsure, "low_confidence"),
        (unsure_that_none_fits, "low_confidence"),
        (for_some_agents, "not_all_agents"),
        (by_a_key_for_some_agents, "not_all_agents"),
        (in_a_chat_by_a_key_for_some_agents, "not_all_agents"),
        (a_rule_excludes, "not_all_agents"),
        (blamed, "contradicted"),
        (blamed_in_a_near_duplicate, "contradicted"),
        (asked_in_other_words, "contradicted"),
        (a_human_was_wanted, "contradicted"),
        (handed_back, "contradicted"),
        (labeled, "labeled"),
        (labeled_with_the_same_agent, "labeled"),
        (nearly_the_same_is_labeled, "labeled"),
        (the_caller_names_another_model, "other_model"),
        (the_model_was_replaced, "other_model"),
        (the_agent_is_disabled, "agent_not_enabled"),
        (the_agent_is_deleted, "agent_not_enabled"),
    ],
)
async def test_what_is_left_out_is_counted(product: Product, happens: Happens, why: str) -> None:
    await happens(product)
    labels = await found(product)
    assert (labels.counts, labels.left_out) == ({}, {why: 1})


async def not_sure_enough_to_decide(product: Product) -> None:
    await ask(product, confidence=0.4)


async def the_model_fails(product: Product) -> None:
    assert (await product.route(LEAVE)).json()["outcome"] == "fallback"


async def a_rule_decides(product: Product) -> None:
    await changed(product, "POST", "/v1/rules", {"when": {}, "then": {"agent_id": "hr"}})
    assert (await product.route(LEAVE)).json()["layer"] == "rule"


async def a_rule_prefers(product: Product) -> None:
    await changed(product, "POST", "/v1/rules", {"when": {}, "then": {"prefer": "hr"}})
    await ask(product, "none")


async def the_caller_names_the_agent(product: Product) -> None:
    product.gateway.enqueue(talks())
    assert (await chat(product, "agent:hr", messages=[user(LEAVE)])).status == 200


async def by_another_router(product: Product) -> None:
    await changed(product, "POST", "/v1/routers", {"id": "staff", "agents": ["hr", "general"]})
    await ask(product, router="staff")
    assert (await found(product, "staff")).counts == {"hr": 1}


async def texts_were_not_stored(product: Product) -> None:
    await config(product, log_queries=False)
    await ask(product)
    await config(product, log_queries=True)


async def asked_back(product: Product) -> None:
    await ask(product)
    product.execute("UPDATE logs SET outcome = 'none', other_outcome = 'clarify', agent_id = NULL")


async def for_several_agents(product: Product) -> None:
    await ask(product)
    product.execute("UPDATE logs SET other_outcome = 'agents', reason = 'several_requests'")


async def erased(product: Product) -> None:
    await ask(product, user="ada")
    await changed(product, "DELETE", "/v1/logs?user=ada")


@pytest.mark.parametrize(
    "happens",
    [
        not_sure_enough_to_decide,
        the_model_fails,
        a_rule_decides,
        a_rule_prefers,
        the_caller_names_the_agent,
        by_another_router,
        texts_were_not_stored,
        asked_back,
        for_several_agents,
        erased,
    ],
)
async def test_what_no_model_decided_is_none(product: Product, happens: Happens) -> None:
    await happens(product)
    assert (await found(product)).counts == {}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"learning": "off"}, "learning_off"),
        ({"log_queries": False}, "texts_not_stored"),
        ({"redact_personal_data": True}, "texts_redacted"),
    ],
)
async def test_there_are_none_where_they_are_off(
    product: Product, changes: dict[str, Any], why: str
) -> None:
    await ask(product)
    await config(product, **changes)
    product.database.statements.clear()
    labels = await found(product)
    assert (labels.off, labels.counts, labels.turns) == (why, {}, ())
    assert not any("json_group_array" in each.sql for each in product.database.statements)


async def test_a_decision_that_replaces_another_one_and_that_one_are_none(product: Product) -> None:
    decision_id = await ask(product, "it_support")
    product.gateway.enqueue(says("hr"))
    path = f"/v1/decisions/{decision_id}/reroute"
    await changed(product, "POST", path, {"not": ["it_support"]})
    labels = await found(product)
    assert (labels.counts, labels.left_out) == ({}, {"rerouted": 2})


async def test_near_duplicates_count_once_and_the_newest_of_them_decides(product: Product) -> None:
    await ask(product, "general")
    await ask(product, "hr", query=NEARLY)
    labels = await found(product)
    assert (labels.counts, labels.left_out) == ({"hr": 1}, {"near_duplicate": 1})
    assert await texts(product, labels) == [("hr", NEARLY)]


async def test_a_contradicted_agent_is_contradicted_alone(product: Product) -> None:
    """What is decided for another agent after the feedback counts."""
    await blamed(product)
    await ask(product, "general", query=NEARLY)
    labels = await found(product)
    assert (labels.counts, labels.left_out) == ({"general": 1}, {"contradicted": 1})


async def test_a_question_of_the_test_part_is_none_without_its_label_either(
    product: Product,
) -> None:
    await ask(product)
    await changed(product, "POST", "/v1/labels", [{"query": NEARLY, "agent_id": "hr"}])
    product.execute("UPDATE splits SET split = 'test'")
    product.execute("DELETE FROM current_labels")
    assert (await found(product)).left_out == {"test_part": 1}


async def test_turns_in_conversations_are_apart(product: Product) -> None:
    context = {"previous_agent": "hr", "previous_user": LEAVE, "previous_assistant": "Which year?"}
    await ask(product, query="This one", context=context)
    await ask(product, query="Their mail is down", context={"previous_user": "Hello"})
    labels = await found(product)
    assert (labels.counts, labels.left_out) == ({}, {"agent_before_unknown": 1})
    [turn] = labels.turns
    [row] = await read_machine_labels(product.database, [turn.seq])
    assert (row["query"], turn.agent, row["session"]) == ("This one", "hr", None)


async def test_the_settings_bound_them(product: Product) -> None:
    for number in range(4):
        await ask(product, query=f"leave number {number}", confidence=0.6 + number / 10)
    assert (await found(product)).counts == {"hr": 2}
    await config(product, machine_label_confidence=0.65, machine_labels_per_agent=2)
    labels = await found(product)
    assert labels.left_out == {"low_confidence": 1, "over_the_limit": 1}
    assert await texts(product, labels) == [("hr", "leave number 3"), ("hr", "leave number 2")]
    assert (await found(product, room=1)).counts == {"hr": 1}
    await config(product, machine_labels_per_agent=0)
    assert (await found(product)).counts == {}


async def test_second_opinions_on_the_classifier_count(empty_product: Product) -> None:
    product = empty_product
    product.gateway.enqueue(says("agent_0", 0.5))
    await create_agents(product)
    install(product, "clf_1")
    await select(product, "clf_1", audit_sample_share=1)
    await load(product)
    product.gateway.enqueue(says("agent_2"), says("agent_1"), says("none"), says("agent_1", 0.6))
    answers = [(await product.route(known("agent_2", each))).json() for each in range(4)]
    assert {each["layer"] for each in answers} == {"classifier"}
    labels = await found(product)
    assert labels.counts == {"agent_1": 1, "agent_2": 1, NO_AGENT: 1}
    assert labels.left_out == {"low_confidence": 2}
    # A person who says that the classifier was wrong does not speak against the model.
    for decision in answers[:2]:
        body = {"decision_id": decision["id"], "value": "down"}
        await changed(product, "POST", "/v1/feedback", body)
    assert (await found(product)).counts == {"agent_1": 1, NO_AGENT: 1}


async def test_one_caller_does_not_flood_an_agent(product: Product) -> None:
    for number in range(30):
        await ask(product, query=f"leave and holiday question {number}", user=f"user {number % 5}")
        await ask(product, "it_support", query=f"laptop and screen {number}", user=f"u{number}")
    for number in range(80):
        query = f"billing says that {number} is for hr"
        await ask(product, query=query, user="mallory")
    labels = await found(product)
    assert labels.counts == {"hr": 30 + 50, "it_support": 30}
    assert labels.left_out == {"share_of_caller": 30}


async def test_its_read_is_bounded_and_by_the_number_of_the_row(product: Product) -> None:
    await ask(product, query="the oldest question")
    for number in range(3):
        await ask(product, query=f"leave number {number}")
    wanted = Wanted(
        agents=["hr"],
        router=None,
        models=[("@cf/meta/llama-3.2-1b-instruct", None)],
        confidence=0.8,
    )
    one = select_candidates(wanted, looked_at=3)
    rows = await product.database.run(one)
    assert [row["n"] for row in rows] == [3]
    plan = await product.database.run(Statement(f"EXPLAIN QUERY PLAN {one.sql}", one.parameters))
    steps = [row["detail"] for row in plan]
    tables = {step.split()[1] for step in steps if step.startswith("SCAN")}
    # Of feedback and signals the newest 5,000.
    assert not tables & {"logs", "later", "c", "splits", "s", "f", "sample", "audit_samples"}
    assert "SEARCH logs USING INTEGER PRIMARY KEY (rowid>?)" in steps


async def test_texts_come_in_the_order_that_is_asked_for_without_those_that_are_gone(
    product: Product,
) -> None:
    for number in range(3):
        await ask(product, query=f"leave number {number}", user=f"user {number}")
    seqs = [each.seq for each in (await found(product)).single]
    await changed(product, "DELETE", "/v1/logs?user=user%201")
    rows = await read_machine_labels(product.database, seqs)
    assert [row["query"] for row in rows] == ["leave number 2", "leave number 0"]
