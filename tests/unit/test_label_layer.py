"""A label in force decides its question at once, before all caches and the classifier."""

from typing import Any

from tests.unit.chats import chat, talks
from tests.unit.conftest import Product, says

LEAVE = "How many days of leave?"


async def put_label(product: Product, query: str, agent_id: str | None) -> None:
    answered = await product.call("POST", "/v1/labels", [{"query": query, "agent_id": agent_id}])
    assert answered.status in (200, 201), answered.text


async def key(product: Product, *scopes: str) -> str:
    made = await product.call("POST", "/v1/keys", {"name": "k", "scopes": list(scopes)})
    value: str = made.json()["key"]
    return value


def other_isolate(product: Product) -> Product:
    return Product(product.database, product.services.settings, clock=product.clock)


async def decide(product: Product, query: str = LEAVE, **fields: Any) -> tuple[Any, ...]:
    decision = (await product.route(query, **fields)).json()
    agent = decision["agent"]
    return (decision["layer"], decision["outcome"], agent and agent["id"])


async def test_a_correction_corrects(product: Product) -> None:
    product.gateway.enqueue(says("it_support"), says("it_support"))
    wrong = (await product.route(LEAVE)).json()
    await product.call("PUT", f"/v1/logs/{wrong['id']}/label", {"agent_id": "hr"})
    answered = await product.route("how  many days of LEAVE?", explain=True)
    decision = answered.json()
    assert (decision["layer"], decision["agent"]["id"]) == ("label", "hr")
    assert (decision["confidence"], decision["cache"], decision["model"]) == (1.0, "bypass", None)
    assert answered.headers["x-edgeneuro-layer"] == "label"
    assert decision["explanation"]["label"] is None
    assert decision["explanation"]["classifier"] == "not asked: a label decided"
    row = (await product.logs())[0]
    assert (row["layer"], row["outcome"], row["agent_id"]) == ("label", "agent", "hr")
    product.clock.seconds += 1
    analytics = (await product.call("GET", "/v1/analytics")).json()
    assert analytics["series"][-1]["layers"] == {"llm": 1, "label": 1}
    # Of the labelled answers the model's was wrong; that of the label itself counts for nothing.
    assert (
        analytics["totals"]["accuracy"]["other_labelled"],
        analytics["totals"]["accuracy"]["other_right"],
    ) == (
        1,
        0,
    )
    await product.call("DELETE", f"/v1/logs/{wrong['id']}/label")
    assert await decide(product) == ("llm", "agent", "it_support")
    assert await decide(product) == ("cache", "agent", "it_support")


async def test_it_reaches_every_isolate_within_seconds_and_reloads_nothing(
    product: Product,
) -> None:
    other = other_isolate(product)
    other.gateway.enqueue(says("it_support"))
    assert await decide(other) == ("llm", "agent", "it_support")
    assert await decide(other) == ("cache", "agent", "it_support")
    other.services.breakers.at_revision(-1)
    await put_label(product, LEAVE, "hr")
    product.clock.seconds += 5.1
    other.database.statements.clear()
    assert await decide(other) == ("label", "agent", "hr")
    read = [one.sql for one in other.database.statements if one.sql.startswith("SELECT")]
    assert len(read) == 3, read  # the revisions; then the label and the cached answer in one batch
    other.database.statements.clear()
    assert await decide(other) == ("label", "agent", "hr")
    assert not any(one.sql.startswith("SELECT") for one in other.database.statements)


async def test_without_labels_nothing_more_is_read(product: Product) -> None:
    product.gateway.enqueue(says("hr"))
    await product.route("warm")
    product.gateway.enqueue(says("hr"))
    product.database.statements.clear()
    await product.route(LEAVE)
    read = [one.sql for one in product.database.statements if one.sql.startswith("SELECT")]
    assert len(read) == 1, read  # the cached answer


async def test_what_does_not_decide(product: Product) -> None:
    await put_label(product, LEAVE, "hr")
    product.gateway.enqueue(*[says("it_support")] * 5)
    assert await decide(product, "Days of leave, how many?") == ("llm", "agent", "it_support")
    assert (await decide(product, candidates=["it_support", "general"]))[0] == "llm"
    assert (await decide(product, cache=False))[0] == "llm"
    assert (await decide(product, model="@cf/ibm-granite/granite-4.0-h-micro"))[0] == "llm"
    await product.call("PATCH", "/v1/agents/hr", {"enabled": False})
    assert (await decide(product))[0] == "llm"
    await product.call("PATCH", "/v1/agents/hr", {"enabled": True})
    assert (await decide(product))[0] == "label"
    product.gateway.enqueue(says("general"))
    explained = (await product.route(LEAVE, candidates=["general"], explain=True)).json()
    assert "'hr' is not enabled, or not among" in explained["explanation"]["label"]


async def test_a_key_with_a_list_of_agents_gets_no_other_by_a_label(product: Product) -> None:
    await put_label(product, LEAVE, "hr")
    body = {"name": "k", "scopes": ["route"], "agents": ["it_support"]}
    made = (await product.call("POST", "/v1/keys", body)).json()
    product.gateway.enqueue(says("none"))
    answered = await product.call("POST", "/v1/route", {"query": LEAVE}, key=made["key"])
    decision = answered.json()
    assert (decision["layer"], decision["outcome"], decision["agent"]) == ("llm", "none", None)


async def test_a_label_that_no_agent_fits_leads_to_on_no_fit(product: Product) -> None:
    await put_label(product, "Mars?", None)
    assert await decide(product, "Mars?") == ("fallback", "fallback", "general")
    assert await decide(product, "Mars?", on_no_fit="none") == ("label", "none", None)
    decision = (await product.route("Mars?", candidates=["hr"])).json()
    assert (decision["agent"], decision["reason"]) == (None, "out_of_scope")
    assert product.gateway.requests == []


async def test_a_label_that_was_erased_decides_no_more(product: Product) -> None:
    await put_label(product, LEAVE, "hr")
    assert await decide(product) == ("label", "agent", "hr")
    [label] = (await product.call("GET", "/v1/labels")).json()["data"]
    erased = await product.call("DELETE", f"/v1/labels/{label['query_hash']}")
    assert erased.status == 200, erased.text
    product.clock.seconds += 5.1
    product.gateway.enqueue(says("it_support"))
    assert await decide(product) == ("llm", "agent", "it_support")


async def test_imported_labels_and_chats(product: Product) -> None:
    body = b'{"query": "How many days of leave?", "agent": "hr"}\n'
    await product.call("POST", "/v1/datasets/import", body)
    product.gateway.enqueue(talks())
    facts = (await chat(product, "auto")).json()["edgeneuro"]
    assert (facts["layer"], facts["agent"]["id"], facts["outcome"]) == ("label", "hr", "agent")


async def test_with_redaction_the_label_is_that_of_the_redacted_question(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"redact_personal_data": True})
    product.gateway.enqueue(says("it_support"))
    first = (await product.route("Lock out ann@example.com")).json()
    await product.call("PUT", f"/v1/logs/{first['id']}/label", {"agent_id": "hr"})
    assert await decide(product, "Lock out bob@example.com") == ("label", "agent", "hr")


async def test_while_d1_fails_what_is_in_memory_decides(product: Product) -> None:
    await put_label(product, "other", "hr")
    product.gateway.enqueue(says("it_support"))
    await product.route(LEAVE)
    await put_label(product, "another", "hr")
    await product.route("warm", cache=False)
    product.database.failing = True
    assert await decide(product) == ("cache", "agent", "it_support")
    assert product.failures.counts["label_read"] == 1


async def test_feedback_of_a_key_that_may_label_is_a_label(product: Product) -> None:
    both = await key(product, "route", "label")
    product.gateway.enqueue(says("it_support"))
    wrong = (await product.route(LEAVE)).json()
    body = {"decision_id": wrong["id"], "value": "down", "correct_agent": "hr"}
    for _ in range(2):
        given = await product.call("POST", "/v1/feedback", body, key=both)
        assert (given.status, given.json()["labelled"]) == (201, True)
    assert await decide(product) == ("label", "agent", "hr")
    assert product.rows("SELECT source, agent_id FROM labels") == [
        {"source": "feedback", "agent_id": "hr"}
    ]
    audited = (await product.call("GET", "/v1/audit?resource=label")).json()["data"]
    assert [(each["action"], each["after"]["agent_id"]) for each in audited] == [("label", "hr")]


async def test_feedback_drops_a_ranking_that_is_in_memory_alone(product: Product) -> None:
    """It was asked once, so D1 has no row of it."""
    route = await key(product, "route")
    product.gateway.enqueue(says("it_support"), says("hr"))
    wrong = (await product.route(LEAVE)).json()
    assert product.rows("SELECT * FROM decision_cache") == []
    body = {"decision_id": wrong["id"], "value": "down", "correct_agent": "hr"}
    for _ in range(2):
        assert (await product.call("POST", "/v1/feedback", body, key=route)).status == 201
    assert product.rows("SELECT labels FROM revision") == [{"labels": 1}]
    assert await decide(product) == ("llm", "agent", "hr")
    assert product.gateway.requests[1].cache_key is None
    assert await decide(product) == ("cache", "agent", "hr")
    assert await decide(other_isolate(product)) == ("cache", "agent", "hr")


async def test_feedback_of_any_other_key_has_the_question_decided_again(product: Product) -> None:
    route = await key(product, "route")
    other = other_isolate(product)
    product.gateway.enqueue(says("it_support"), says("hr"))
    other.gateway.enqueue(says("it_support"))
    wrong = (await product.route(LEAVE)).json()
    assert await decide(other) == ("llm", "agent", "it_support")
    assert await decide(other) == ("cache", "agent", "it_support")
    body = {"decision_id": wrong["id"], "value": "down", "correct_agent": "hr"}
    given = await product.call("POST", "/v1/feedback", body, key=route)
    assert (given.status, given.json()["labelled"]) == (201, False)
    assert product.rows("SELECT * FROM labels") == []
    assert await decide(product) == ("llm", "agent", "hr")
    assert product.gateway.requests[0].cache_key is not None
    assert product.gateway.requests[1].cache_key is None  # AI Gateway's cache has the old answer
    product.clock.seconds += 5.1
    assert await decide(other) == ("cache", "agent", "hr")


async def test_feedback_that_agrees_drops_nothing(product: Product) -> None:
    route = await key(product, "route")
    product.gateway.enqueue(says("hr"))
    right = (await product.route(LEAVE)).json()
    body = {"decision_id": right["id"], "value": "up", "correct_agent": "hr"}
    await product.call("POST", "/v1/feedback", body, key=route)
    assert await decide(product) == ("cache", "agent", "hr")


async def test_feedback_on_a_decision_without_its_text_is_no_label(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"log_queries": False})
    product.gateway.enqueue(says("it_support"))
    wrong = (await product.route(LEAVE)).json()
    body = {"decision_id": wrong["id"], "value": "down", "correct_agent": "hr"}
    given = await product.call("POST", "/v1/feedback", body)
    assert (given.status, given.json()["labelled"]) == (201, False)
