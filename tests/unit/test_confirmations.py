"""Confirming all confident decisions for one agent: what is left out, and taking it back."""

from typing import Any

import pytest

from tests.unit.conftest import Product, says
from tests.unit.test_queue import ask, judge, label, many

PATH = "/v1/labels/confirmable?agent=hr"


async def confirmable(product: Product, query: str = "") -> dict[str, Any]:
    answered = await product.call("GET", PATH + query)
    assert answered.status == 200, answered.text
    found: dict[str, Any] = answered.json()
    return found


async def confirm(product: Product, **more: Any) -> dict[str, Any]:
    body = {"agent_id": "hr", **more}
    answered = await product.call("POST", "/v1/labels/confirm", body)
    assert answered.status == 200, answered.text
    found: dict[str, Any] = answered.json()
    return found


async def test_confident_decisions_are_confirmed_and_taken_back(product: Product) -> None:
    for number in range(20):
        confidence = 0.95 + number / 1_000
        await ask(product, f"holiday {'abcdefghijklmnopqrst'[number] * 3}", confidence=confidence)
    await ask(product, "not sure enough", confidence=0.94)
    await ask(product, "another agent", agent="it_support")
    blind = (await product.call("GET", "/v1/labels/queue?stream=random&limit=3")).json()["data"]
    before = await confirmable(product)
    kept = [item["query"] for item in blind if item["query"].startswith("holiday")]
    assert (before["questions"], before["blind"], before["contradicted"]) == (
        20 - len(kept),
        len(kept),
        0,
    )
    assert [item["confidence"] for item in before["sample"]] == sorted(
        item["confidence"] for item in before["sample"]
    )

    done = await confirm(product, newest_log_id=before["newest_log_id"], limit=15)
    assert (len(done["label_ids"]), done["remaining"]) == (15, before["questions"] - 15)
    rest = await confirm(product)
    assert len(rest["label_ids"]) == done["remaining"]
    given = product.rows("SELECT query, agent_id, source, stream FROM labels")
    assert {(row["agent_id"], row["source"], row["stream"]) for row in given} == {
        ("hr", "bulk", "hard")
    }
    assert {row["query"] for row in given}.isdisjoint(item["query"] for item in blind)
    # They measure nothing: no question counts as drawn at random.
    assert product.rows("SELECT sum(sampled) AS n FROM current_labels") == [{"n": 0}]
    assert (await confirmable(product))["questions"] == 0

    body = {"label_ids": done["label_ids"] + rest["label_ids"]}
    changed = await product.call("PUT", f"/v1/labels/{_hash(product)}/label", {"agent_id": None})
    assert changed.status == 200
    for removed in (before["questions"], 0):
        answered = await product.call("POST", "/v1/labels/remove", body)
        assert answered.json()["removed"] == removed
    # What was given by hand in between stays.
    assert product.rows("SELECT agent_id FROM current_labels") == [{"agent_id": None}]


def _hash(product: Product) -> str:
    [row] = product.rows("SELECT query_hash FROM current_labels LIMIT 1")
    return str(row["query_hash"])


async def test_what_anything_speaks_against_is_left_out(product: Product) -> None:
    await many(product, 40)  # of which the blind ones are
    product.execute("UPDATE logs SET confidence = 0.5")
    first = (await confirmable(product, "&min_confidence=0.99"))["questions"]
    down = await ask(product, "somebody disagrees")
    await judge(product, down, "down")
    await ask(product, "two agents")
    await ask(product, "two agents", agent="it_support")
    sampled = await ask(product, "second opinion")
    product.execute(
        "INSERT INTO audit_samples (log_id, created_at, layer, agent_id, confidence, agrees)"
        f" VALUES ('{sampled}', 0, 'classifier', 'it_support', 0.9, 0)"
    )
    await ask(product, "labeled already")
    await label(product, "Labeled already?", "it_support")
    product.gateway.enqueue(says("hr", 1.0))
    await product.route("only some agents", cache=False, candidates=["hr", "general"])
    found = await confirmable(product, "&min_confidence=0.99")
    assert (first, found["questions"]) == (0, 0)
    assert found["contradicted"] + found["blind"] == 3


async def test_labels_of_others_are_not_removed(product: Product) -> None:
    await label(product, "Whose is it?")
    [row] = product.rows("SELECT id FROM labels")
    made = await product.call("POST", "/v1/keys", {"name": "other", "scopes": ["label"]})
    body = {"label_ids": [row["id"]]}
    answered = await product.call("POST", "/v1/labels/remove", body, key=made.json()["key"])
    assert (answered.status, answered.json()["removed"]) == (200, 0)
    assert len(product.rows("SELECT 1 FROM current_labels")) == 1


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"agent_id": "nobody"}, "agent_id"),
        ({"agent_id": "hr", "min_confidence": 0.4}, "min_confidence"),
        ({"agent_id": "hr", "limit": 501}, "limit"),
    ],
)
async def test_bad_confirmations(product: Product, body: dict[str, Any], param: str) -> None:
    answered = await product.call("POST", "/v1/labels/confirm", body)
    assert (answered.status, answered.json()["error"]["param"]) == (400, param)


async def test_it_looks_at_8000_rows_and_at_labels_by_index(product: Product) -> None:
    await many(product, 9_000)
    product.execute("UPDATE logs SET agent_id = 'hr', confidence = 1 WHERE id LIKE 'copy%'")
    product.database.statements.clear()
    found = await confirmable(product)
    assert found["questions"] + found["blind"] == 8_000
    assert len(found["sample"]) == 10
    [find, *_] = product.database.statements
    plan = product.database._connection.execute(f"EXPLAIN QUERY PLAN {find.sql}", find.parameters)
    scans = [row["detail"] for row in plan if row["detail"].startswith("SCAN")]
    assert not any(scan.split()[1] in ("labels", "current_labels", "c") for scan in scans), scans
    assert [scan for scan in scans if scan.split()[1] == "logs"] == ["SCAN logs"]
