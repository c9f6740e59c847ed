"""With redact_personal_data, every text of a caller is redacted before it is stored or sent to a
log, and the same question has the same hash wherever it came in."""

from typing import Any

import pytest

from edgeneuro.domain.query import near_hash, query_hash
from tests.unit.conftest import Product, says

RAW = "Mail ann@example.com, card 4111 1111 1111 1111"
STORED = "Mail [email], card [card]"


@pytest.fixture
async def redacting(product: Product) -> Product:
    changed = await product.call("PATCH", "/v1/config", {"redact_personal_data": True})
    assert changed.status == 200
    return product


async def ask(product: Product, query: str, **fields: Any) -> str:
    product.gateway.enqueue(says("hr"))
    log_id: str = (await product.route(query, cache=False, **fields)).json()["id"]
    return log_id


async def give_label(product: Product, way: str) -> None:
    item = {"query": RAW, "agent_id": "it_support"}
    if way == "bulk":
        assert (await product.call("POST", "/v1/labels", [item])).status == 200
    elif way == "log":
        log_id = await ask(product, RAW)
        answered = await product.call("PUT", f"/v1/logs/{log_id}/label", {"agent_id": "it_support"})
        assert answered.status == 200
    else:
        line = f'{{"query": "{RAW}", "agent": "it_support"}}\n'.encode()
        assert (await product.call("POST", "/v1/datasets/import", line)).status == 200


@pytest.mark.parametrize("way", ["bulk", "log", "import"])
async def test_a_label_and_its_logged_question_have_one_hash(redacting: Product, way: str) -> None:
    await give_label(redacting, way)
    log_id = await ask(redacting, RAW)
    label = {
        "query": STORED,
        "query_hash": query_hash(STORED),
        "near_hash": near_hash(STORED),
    }
    assert redacting.rows("SELECT query, query_hash, near_hash FROM current_labels") == [label]
    assert redacting.rows("SELECT query, query_hash, near_hash FROM labels") == [label]
    record = (await redacting.call("GET", f"/v1/logs/{log_id}")).json()
    assert (record["query"], record["label"]["agent_id"]) == (STORED, "it_support")


async def test_nothing_that_a_caller_wrote_is_stored_as_it_came(redacting: Product) -> None:
    beside = {"user": "ann@example.com", "session": "+49 30 1234567"}
    metadata = {"card": 4111111111111111, "mail": "ann@example.com", "tier": 3, "vip": True}
    log_id = await ask(redacting, RAW, **beside, metadata=metadata)
    note = {"agent_id": "hr", "note": "ask ann@example.com"}
    await redacting.call("PUT", f"/v1/logs/{log_id}/label", note)
    item = {"query": "call +49 30 1234567", "agent_id": "hr", "note": "ann@example.com"}
    headers = {"idempotency-key": "one"}
    await redacting.call("POST", "/v1/labels", [item], headers=headers)
    feedback = {"decision_id": log_id, "value": "up", "comment": "ann@example.com"}
    await redacting.call("POST", "/v1/feedback", feedback, headers={"idempotency-key": "two"})

    [entry] = await redacting.logs()
    assert (entry["user"], entry["session"]) == ("[email]", "[phone]")
    assert entry["metadata"] == {"card": "[card]", "mail": "[email]", "tier": 3, "vip": True}
    tables = [
        row["name"]
        for row in redacting.rows(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'logs_fts%'"
        )
    ]
    for table in tables:
        held = str(redacting.rows(f"SELECT * FROM {table}"))
        for secret in ("ann@example.com", "1234567", "4111"):
            assert secret not in held, table


async def test_the_log_of_ai_gateway_gets_no_texts(redacting: Product) -> None:
    await ask(redacting, RAW)
    redacting.gateway.enqueue(says("hr"), says("hr"))
    chat = {"model": "auto", "messages": [{"role": "user", "content": "Leave?"}]}
    assert (await redacting.call("POST", "/v1/chat/completions", chat)).status == 200
    assert [request.collect_payload for request in redacting.gateway.requests] == [False] * 3
    # The model itself is asked with the text as it came.
    assert RAW in str(redacting.gateway.requests[0].messages)
