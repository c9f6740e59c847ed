"""Feedback and labels are copied into AI Gateway's log in the background; a failure is only
counted."""

import json
from dataclasses import replace

import pytest

from edgeneuro.domain.decision import GatewayTrace
from edgeneuro.errors import DatabaseError, UpstreamError
from edgeneuro.gateway.interface import ModelAnswer
from edgeneuro.settings import Settings
from tests.unit.conftest import GENERAL, HR, Product
from tests.unit.test_metrics import scrape, value
from tests.unit.watched import WatchedDatabase, fails

COUNT = "edgeneuro_gateway_feedback_total"


async def ask(
    product: Product, query: str, gateway_log: str | None = "log-1", agent: str = "hr"
) -> str:
    """A decision for that agent, which AI Gateway has in its log."""
    content = {"agent": agent, "confidence": 0.9}
    product.gateway.enqueue(ModelAnswer(content=content, trace=GatewayTrace(log_id=gateway_log)))
    log_id: str = (await product.route(query, cache=False)).json()["id"]
    return log_id


@pytest.mark.parametrize(("said", "feedback"), [("up", 1), ("down", -1)])
async def test_feedback_is_sent(product: Product, said: str, feedback: int) -> None:
    log_id = await ask(product, "Leave?")
    body = {"decision_id": log_id, "value": said}
    assert (await product.call("POST", "/v1/feedback", body)).status == 201
    assert product.gateway.patched == [("log-1", feedback, None)]
    assert value(await scrape(product), COUNT, outcome="sent") == 1


@pytest.mark.parametrize(
    ("decided", "label", "sent"),
    [
        ("hr", "hr", (1, 100)),
        ("hr", "it_support", (-1, 0)),
        ("hr", None, (-1, 0)),
        # The model said that no agent fits, so the fallback agent, general, answers.
        ("none", None, (1, 100)),
        ("none", "general", (1, 100)),
        ("none", "hr", (-1, 0)),
    ],
)
async def test_a_label_is_sent_as_right_or_wrong(
    product: Product, decided: str, label: str | None, sent: tuple[int, int]
) -> None:
    log_id = await ask(product, "Leave?", agent=decided)
    answered = await product.call("PUT", f"/v1/logs/{log_id}/label", {"agent_id": label})
    assert answered.status == 200
    assert product.gateway.patched == [("log-1", *sent)]


async def test_a_withdrawn_label_sends_nothing(product: Product) -> None:
    log_id = await ask(product, "Leave?")
    await product.call("PUT", f"/v1/logs/{log_id}/label", {"agent_id": "hr"})
    product.gateway.patched.clear()
    assert (await product.call("DELETE", f"/v1/logs/{log_id}/label")).status == 200
    assert product.gateway.patched == []


async def test_a_bulk_sends_each_log_row_once_with_the_label_in_force(product: Product) -> None:
    leave, again = await ask(product, "Leave?", "log-1"), await ask(product, "leave?", "log-2")
    vpn = await ask(product, "VPN?", "log-3")
    items = [
        {"log_id": leave, "agent_id": "it_support"},
        {"log_id": again, "agent_id": "hr"},
        {"log_id": vpn, "agent_id": "hr"},
        {"query": "VPN?", "agent_id": "it_support"},
        {"query": "Of no log row", "agent_id": "hr"},
    ]
    assert (await product.call("POST", "/v1/labels", items)).status == 200
    assert product.gateway.patched == [("log-1", 1, 100), ("log-2", 1, 100), ("log-3", -1, 0)]


async def test_a_bulk_sends_20_and_counts_the_rest(product: Product) -> None:
    log_ids = [await ask(product, f"Question {n}?", f"log-{n}") for n in range(23)]
    unknown_there = await ask(product, "Of no gateway log?", None)
    items = [{"log_id": log_id, "agent_id": "hr"} for log_id in [unknown_there, *log_ids]]
    assert (await product.call("POST", "/v1/labels", items)).status == 200
    assert [log for log, _, _ in product.gateway.patched] == [f"log-{n}" for n in range(20)]
    samples = await scrape(product)
    assert (value(samples, COUNT, outcome="sent"), value(samples, COUNT, outcome="skipped")) == (
        20,
        3,
    )


async def test_nothing_is_sent_for_an_answer_without_a_gateway_log(product: Product) -> None:
    log_id = await ask(product, "Leave?", None)
    await product.call("POST", "/v1/feedback", {"decision_id": log_id, "value": "up"})
    await product.call("PUT", f"/v1/logs/{log_id}/label", {"agent_id": "hr"})
    assert product.gateway.patched == []


async def test_an_error_is_no_answer_to_judge(product: Product) -> None:
    log_id = await ask(product, "Leave?")
    product.execute("UPDATE logs SET agent_id = NULL, status = 502")
    answered = await product.call("PUT", f"/v1/logs/{log_id}/label", {"agent_id": None})
    assert answered.status == 200
    assert product.gateway.patched == []


async def test_refused_labels_and_feedback_send_nothing(product: Product) -> None:
    log_id = await ask(product, "Leave?")
    items = [{"log_id": log_id, "agent_id": "hr"}, {"query": "a", "agent_id": "ceo"}]
    assert (await product.call("POST", "/v1/labels", items)).status == 400
    body = {"decision_id": log_id, "value": "up", "correct_agent": "ceo"}
    assert (await product.call("POST", "/v1/feedback", body)).status == 400
    assert product.gateway.patched == []


async def test_without_a_gateway_nothing_is_sent(product: Product, settings: Settings) -> None:
    log_id = await ask(product, "Leave?")
    alone = Product(product.database, replace(settings, ai_gateway_url=""))
    body = {"decision_id": log_id, "value": "up"}
    assert (await alone.call("POST", "/v1/feedback", body)).status == 201
    assert alone.gateway.patched == []


async def test_a_failure_is_counted_and_fails_no_request(
    product: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    log_id = await ask(product, "Leave?")
    product.gateway.patch_failure = UpstreamError("AI Gateway keeps no such log.")
    body = {"decision_id": log_id, "value": "up"}
    assert (await product.call("POST", "/v1/feedback", body)).status == 201
    samples = await scrape(product)
    assert value(samples, "edgeneuro_failures_total", what="gateway_feedback") == 1
    assert value(samples, COUNT, outcome="failed") == 1
    sent = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [failure] = [line for line in sent if line["event"] == "gateway_feedback"]
    assert failure["error"] == "AI Gateway keeps no such log."


async def test_d1_failing_after_the_answer_is_counted(settings: Settings) -> None:
    database = WatchedDatabase()
    product = Product(database, settings)
    for agent in (HR, GENERAL):
        await product.call("POST", "/v1/agents", agent)
    log_id = await ask(product, "Leave?")
    database.before("SELECT id, agent_id, reason, gateway_log_id", fails(DatabaseError("Away.")))
    body = {"decision_id": log_id, "value": "up"}
    assert (await product.call("POST", "/v1/feedback", body)).status == 201
    assert product.gateway.patched == []
    assert product.failures.counts["gateway_feedback"] == 1
    database.close()
