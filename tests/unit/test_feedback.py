"""Feedback: late, several, by key; it is stored as queries are."""

from typing import Any

import pytest

from tests.unit.conftest import Product, says
from tests.unit.test_keys import create


@pytest.fixture
async def decision_id(product: Product) -> str:
    product.gateway.enqueue(says("hr"))
    found: str = (await product.route("Leave?")).json()["id"]
    return found


async def test_a_keys_second_feedback_replaces_its_first(
    product: Product, decision_id: str
) -> None:
    product.clock.seconds += 86_400 * 30
    body = {"decision_id": decision_id, "value": "down", "correct_agent": "it_support"}
    given = await product.call("POST", "/v1/feedback", {**body, "comment": " wrong emulator "})
    assert given.status == 201
    feedback = given.json()
    assert feedback == {
        "object": "feedback",
        "id": feedback["id"],
        "decision_id": decision_id,
        "value": "down",
        "correct_agent": "it_support",
        "comment": "wrong emulator",
        "key_id": "admin_token",
        "created_at": "2027-02-14T08:00:00.000Z",
        "labelled": True,
    }
    [entry] = await product.logs()
    kept = {k: v for k, v in feedback.items() if k not in ("object", "decision_id", "labelled")}
    assert entry["feedback"] == [kept]
    await product.call("POST", "/v1/feedback", {"decision_id": decision_id, "value": "up"})
    [entry] = await product.logs()
    assert [one["value"] for one in entry["feedback"]] == ["up"]
    assert entry["label"]["agent_id"] == "it_support"
    assert product.rows("SELECT count(*) AS n FROM feedback") == [{"n": 1}]
    product.execute("UPDATE feedback SET key_id = 'another'")
    await product.call("POST", "/v1/feedback", {"decision_id": decision_id, "value": "down"})
    [entry] = await product.logs()
    assert [one["value"] for one in entry["feedback"]] == ["up", "down"]


async def test_feedback_is_taken_back_by_who_gave_it(product: Product, decision_id: str) -> None:
    body = {"decision_id": decision_id, "value": "down", "correct_agent": "it_support"}
    await product.call("POST", "/v1/feedback", body)
    path = f"/v1/feedback/{decision_id}"
    other = await create(product, scopes=["route"])
    assert (await product.call("DELETE", path, key=other["key"])).status == 404
    assert (await product.call("DELETE", path)).json() == {
        "object": "feedback.deleted",
        "decision_id": decision_id,
        "deleted": True,
    }
    [entry] = await product.logs()
    assert (entry["feedback"], entry["label"]["agent_id"]) == ([], "it_support")
    again = await product.call("DELETE", path)
    assert (again.status, again.json()["error"]["code"]) == (404, "no_feedback")


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"decision_id": "dec_none"}, 404, "unknown_decision", "decision_id"),
        ({"decision_id": ""}, 400, "invalid_value", "decision_id"),
        ({"value": "meh"}, 400, "invalid_value", "value"),
        ({"correct_agent": "ceo"}, 400, "unknown_agent", "correct_agent"),
        ({"correct_agent": "none"}, 400, "invalid_value", "correct_agent"),
        ({"comment": "a\0"}, 400, "invalid_value", "comment"),
        ({"key_id": "me"}, 400, "unknown_field", "key_id"),
    ],
)
async def test_bad_feedback(
    product: Product, decision_id: str, change: dict[str, Any], status: int, code: str, param: str
) -> None:
    body = {"decision_id": decision_id, "value": "up", **change}
    answered = await product.call("POST", "/v1/feedback", body)
    error = answered.json()["error"]
    assert (answered.status, error["code"], error["param"]) == (status, code, param)
    assert product.rows("SELECT * FROM feedback") == []


async def test_a_disabled_agent_may_have_been_the_right_one(
    product: Product, decision_id: str
) -> None:
    await product.call("PATCH", "/v1/agents/it_support", {"enabled": False})
    body = {"decision_id": decision_id, "value": "down", "correct_agent": "it_support"}
    assert (await product.call("POST", "/v1/feedback", body)).status == 201


@pytest.mark.parametrize(
    ("setting", "value", "kept"),
    [("redact_personal_data", "true", "ask [email]"), ("log_queries", "false", None)],
)
async def test_a_comment_is_stored_as_queries_are(
    product: Product, decision_id: str, setting: str, value: str, kept: str | None
) -> None:
    product.execute(f"INSERT INTO config VALUES ('{setting}', '{value}', 0)")
    product.clock.seconds += 6
    body = {"decision_id": decision_id, "value": "down", "comment": "ask ann@example.com"}
    assert (await product.call("POST", "/v1/feedback", body)).json()["comment"] == kept
    assert product.rows("SELECT comment FROM feedback") == [{"comment": kept}]
