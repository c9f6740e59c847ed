"""Idempotency-Key, in process: done once, answered again."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from edgeneuro.app.routes import ROUTES
from edgeneuro.errors import DatabaseError, UpstreamCapacityError
from edgeneuro.settings import Settings
from edgeneuro.store.idempotency import purge_idempotency
from tests.unit.conftest import Answered, Product, says
from tests.unit.test_keys import create, refused
from tests.unit.watched import WatchedDatabase, fails

AGENT = {"id": "legal", "name": "Legal", "description": "Contracts."}
USER = {"email": "ada@example.com", "name": "Ada", "role": "viewer"}


@pytest.fixture
def watched(settings: Settings) -> Iterator[Product]:
    watched = WatchedDatabase()
    yield Product(watched, settings)
    watched.close()


def database(product: Product) -> WatchedDatabase:
    assert isinstance(product.database, WatchedDatabase)
    return product.database


async def post(
    product: Product, body: Any, key: str = "k1", path: str = "/v1/users", **more: Any
) -> Answered:
    headers = {"Idempotency-Key": key} | more.pop("headers", {})
    return await product.call("POST", path, body, headers=headers, **more)


def users(product: Product) -> int:
    return len(product.rows("SELECT id FROM users"))


async def test_the_same_again_gets_the_first_answer(product: Product) -> None:
    first = await post(product, USER)
    product.clock.seconds += 3_600
    again = await post(product, USER)
    assert (first.status, again.status) == (201, 201)
    assert again.text == first.text
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["content-type"] == "application/json"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert users(product) == 1
    assert len(product.rows("SELECT id FROM audit WHERE resource = 'user'")) == 1


async def test_a_refusal_is_an_answer_too(product: Product) -> None:
    await product.call("POST", "/v1/users", USER)
    first = await post(product, USER)
    assert refused(first) == (409, "user_exists")
    product.execute("DELETE FROM users")
    again = await post(product, USER)
    assert (again.status, again.text) == (409, first.text)
    assert again.headers["idempotent-replayed"] == "true"


async def test_another_body_is_a_mismatch(product: Product) -> None:
    await post(product, USER)
    other = await post(product, {**USER, "email": "bob@example.com"})
    assert refused(other) == (422, "idempotency_mismatch")
    assert users(product) == 1


async def test_a_key_belongs_to_its_caller_and_path(product: Product) -> None:
    admin = await create(product, scopes=["admin"])
    await post(product, USER)
    theirs = await post(product, {**USER, "email": "bob@example.com"}, **{"key": "k1"})
    assert theirs.status == 422
    headers = {"idempotency-key": "k1", "authorization": f"Bearer {admin['key']}"}
    body = {**USER, "email": "bob@example.com"}
    assert (await product.call("POST", "/v1/users", body, headers=headers)).status == 201
    assert (await post(product, AGENT, path="/v1/agents")).status == 201


async def test_while_the_first_one_is_at_work_the_second_waits(watched: Product) -> None:
    seen: list[Answered] = []

    async def impatient() -> None:
        seen.append(await post(watched, USER))

    database(watched).before("INSERT INTO users", impatient)
    assert (await post(watched, USER)).status == 201
    assert refused(seen[0]) == (409, "idempotency_in_progress")
    assert users(watched) == 1


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (DatabaseError("D1_ERROR"), 503),
        (RuntimeError("a fault in the handler"), 500),
        (UpstreamCapacityError("full"), 429),
    ],
)
async def test_what_failed_is_forgotten(watched: Product, failure: Exception, status: int) -> None:
    database(watched).before("INSERT INTO users", fails(failure))
    assert (await post(watched, USER)).status == status
    assert watched.rows("SELECT * FROM idempotency") == []
    assert (await post(watched, USER)).status == 201
    assert users(watched) == 1


async def test_an_answer_that_cannot_be_kept_still_goes_out(watched: Product) -> None:
    database(watched).before("UPDATE idempotency", fails(DatabaseError("D1_ERROR")))
    assert (await post(watched, USER)).status == 201
    assert watched.failures.counts["idempotency_write"] == 1
    assert refused(await post(watched, USER)) == (409, "idempotency_in_progress")
    watched.clock.seconds += 600
    assert refused(await post(watched, USER)) == (409, "user_exists")


async def test_a_new_keys_value_is_not_kept(product: Product) -> None:
    body = {"name": "x", "scopes": ["route"]}
    first = await post(product, body, path="/v1/keys")
    assert first.status == 201
    assert refused(await post(product, body, path="/v1/keys")) == (
        409,
        "idempotency_not_replayable",
    )
    assert len(product.rows("SELECT id FROM keys")) == 1
    assert first.json()["key"] not in str(product.rows("SELECT * FROM idempotency"))


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v1/keys", {"name": "", "scopes": ["route"]}, "invalid_value"),
        ("/v1/keys", b"no JSON", "invalid_json"),
        ("/v1/labels", [{"query": "a", "agent_id": "nobody"}], "unknown_agent"),
    ],
)
async def test_a_refused_request_leaves_no_row(
    product: Product, path: str, body: Any, code: str
) -> None:
    for _ in range(2):
        assert refused(await post(product, body, "k2", path=path)) == (400, code)
        assert product.rows("SELECT * FROM idempotency") == []


@pytest.mark.parametrize("key", ["", "a b", "ä", "k" * 256, "a\tb"])
async def test_a_bad_header_is_refused(product: Product, key: str) -> None:
    answered = await post(product, USER, key)
    assert refused(answered) == (400, "invalid_value")
    assert answered.json()["error"]["param"] == "Idempotency-Key"
    assert users(product) == 0


async def test_the_longest_header_is_fine(product: Product) -> None:
    assert (await post(product, USER, "k" * 255)).status == 201


async def test_a_query_is_routed_anew_each_time(product: Product) -> None:
    product.gateway.enqueue(says("hr"), says("it_support"))
    for agent in ("hr", "it_support"):
        body = {"query": "Leave?", "cache": False}
        answered = await post(product, body, path="/v1/route")
        assert answered.json()["agent"]["id"] == agent
    assert product.rows("SELECT * FROM idempotency") == []


async def test_after_24_hours_it_is_done_anew_and_the_purge_clears_up(product: Product) -> None:
    await post(product, USER)
    await post(product, {**USER, "email": "bob@example.com"}, "k2")
    product.clock.seconds += 24 * 3_600 - 1
    assert (await post(product, USER)).status == 201
    product.clock.seconds += 1
    assert refused(await post(product, USER)) == (409, "user_exists")
    now = product.services.now_ms()
    assert await purge_idempotency(product.database, now_ms=now) == 1
    assert len(product.rows("SELECT * FROM idempotency")) == 1


async def test_the_purge_goes_in_chunks(product: Product) -> None:
    product.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)"
        " INSERT INTO idempotency SELECT 'h' || i, 'r', 201, '{}', 5 FROM n"
    )
    product.database.statements.clear()
    assert await purge_idempotency(product.database, now_ms=5) == 2_500
    assert len(product.database.statements) == 3


async def test_openapi_says_where_it_holds(product: Product) -> None:
    document = json.loads((await product.call("GET", "/openapi.json", key=None)).text)
    said = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if any(each.get("name") == "Idempotency-Key" for each in operation["parameters"])
    }
    posts = {(route.method, route.path) for route in ROUTES if route.method == "POST"}
    # Names of adapters are unique, and an import that is repeated writes nothing twice.
    uploads = ("/v1/loras", "/v1/loras/preflight", "/v1/datasets/import")
    answers = ("/v1/route", "/v1/chat/completions", "/v1/decisions", "/v1/systemone")
    reading = (
        *("/v1/rules/test", "/v1/outcomes/preview", "/v1/outcomes/curve"),
        *("/v1/evaluations/estimate", "/v1/datasets/import/preview"),
    )
    repeatable = (*answers, "/v1/feedback", *reading, *uploads)
    assert said == posts - {("POST", path) for path in repeatable}
