"""Keys over the API, in process: made once, kept as a hash, refused with the reason."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.settings import MIN_ADMIN_TOKEN, Settings
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import Answered, Product, says
from tests.unit.watched import WatchedDatabase

NOW = "2027-01-15T08:00:00.000Z"


async def create(product: Product, **fields: Any) -> Any:
    answered = await product.call(
        "POST", "/v1/keys", {"name": "help center", "scopes": ["route"], **fields}
    )
    assert answered.status == 201, answered.text
    return answered.json()


async def create_user(product: Product, role: str = "labeler") -> Any:
    body = {"email": f"{role}@example.com", "name": "Somebody", "role": role}
    answered = await product.call("POST", "/v1/users", body)
    assert answered.status == 201, answered.text
    return answered.json()


def refused(answered: Answered) -> tuple[int, str]:
    return answered.status, answered.json()["error"]["code"]


def unused(since: str) -> dict[str, Any]:
    return {"since": since, "requests": 0, "refused": 0, "refusals": {}, "cost_usd": 0}


async def ask(product: Product, key: str) -> Answered:
    product.gateway.enqueue(says("hr"))
    return await product.call("POST", "/v1/route", {"query": "Leave?"}, key=key)


async def test_a_key_is_shown_once_and_kept_as_a_hash(product: Product) -> None:
    created = await create(
        product,
        scopes=["route", "label", "route"],
        expires_at="2027-02-01T01:00:00+01:00",
        requests_per_minute=60,
        monthly_budget_usd=12.5,
    )
    value = created.pop("key")
    assert re.fullmatch(r"en_[A-Za-z0-9]{40}", value)
    assert created == {
        "object": "key",
        "id": created["id"],
        "name": "help center",
        "hint": value[:8],
        "scopes": ["route", "label"],
        "user_id": None,
        "expires_at": "2027-02-01T00:00:00.000Z",
        "requests_per_minute": 60,
        "monthly_token_budget": None,
        "monthly_budget_usd": 12.5,
        "agents": None,
        "models": None,
        "router": None,
        "team_id": None,
        "revoked_at": None,
        "created_at": NOW,
        "usage": {"minute_requests": 0, "month": "2027-01", "tokens": 0, "cost_usd": 0},
        "last_used_at": None,
        "cost_usd": 0,
        "recent": unused("2027-01-15T07:00:00.000Z"),
        "this_month": unused("2027-01-01T00:00:00.000Z"),
        "last_30_days": unused("2026-12-17T00:00:00.000Z"),
        "last_refused_at": None,
    }
    assert (await product.call("GET", f"/v1/keys/{created['id']}")).json() == created
    assert (await product.call("GET", "/v1/keys")).json()["data"] == [created]
    digest = hashlib.sha256(value.encode()).hexdigest()
    assert product.rows("SELECT hash FROM keys") == [{"hash": digest}]


async def test_neither_value_nor_hash_is_written_anywhere_else(
    product: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    created = await create(product)
    await ask(product, created["key"])
    await product.call("PATCH", f"/v1/keys/{created['id']}", {"name": "center"})
    await product.call("DELETE", f"/v1/keys/{created['id']}")
    digest = hashlib.sha256(created["key"].encode()).hexdigest()
    audit = (await product.call("GET", "/v1/audit?resource=key")).text
    logs = (await product.call("GET", "/v1/logs")).text
    for text in (audit, logs, capsys.readouterr().out):
        assert created["key"] not in text
        assert digest not in text
    tables = product.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
    assert {"keys", "audit", "logs", "idempotency"} <= {table["name"] for table in tables}
    for name in (table["name"] for table in tables):
        content = str(product.rows(f"SELECT * FROM {name}"))
        assert created["key"] not in content
        assert (digest in content) == (name == "keys")


async def test_the_log_row_and_the_audit_row_name_the_key(product: Product) -> None:
    key = await create(product, scopes=["admin"])
    await ask(product, key["key"])
    assert (await product.logs())[0]["key_id"] == key["id"]
    await product.call("PATCH", "/v1/agents/hr", {"name": "People"}, key=key["key"])
    audit = (await product.call("GET", "/v1/audit?limit=1")).json()["data"]
    assert audit[0]["actor"] == key["id"]


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"name": ""}, "invalid_value", "name"),
        ({"name": "a\x00b"}, "invalid_value", "name"),
        ({"name": "n" * 101}, "invalid_value", "name"),
        ({"scopes": []}, "invalid_value", "scopes"),
        ({"scopes": ["root"]}, "invalid_value", "scopes[0]"),
        ({"scopes": ["public"]}, "invalid_value", "scopes[0]"),
        ({"scopes": "route"}, "invalid_value", "scopes"),
        ({"expires_at": NOW}, "invalid_value", "expires_at"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "invalid_value", "expires_at"),
        ({"expires_at": "2030-01"}, "invalid_value", "expires_at"),
        ({"expires_at": "2030-01-01T00:00:00"}, "invalid_value", "expires_at"),
        ({"expires_at": "2030-02-30T00:00:00Z"}, "invalid_value", "expires_at"),
        ({"expires_at": "0001-01-01T00:00:00+23:59"}, "invalid_value", "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-23:59"}, "invalid_value", "expires_at"),
        ({"expires_at": 1_900_000_000}, "invalid_value", "expires_at"),
        ({"requests_per_minute": 0}, "invalid_value", "requests_per_minute"),
        ({"requests_per_minute": 1.5}, "invalid_value", "requests_per_minute"),
        ({"monthly_token_budget": 0}, "invalid_value", "monthly_token_budget"),
        ({"monthly_token_budget": 10**12 + 1}, "invalid_value", "monthly_token_budget"),
        ({"monthly_token_budget": True}, "invalid_value", "monthly_token_budget"),
        ({"monthly_budget_usd": -1}, "invalid_value", "monthly_budget_usd"),
        ({"monthly_budget_usd": "5"}, "invalid_value", "monthly_budget_usd"),
        ({"user_id": "usr_nobody"}, "unknown_user", "user_id"),
        ({"key": "en_mine"}, "unknown_field", "key"),
    ],
)
async def test_bad_fields_are_named_and_nothing_is_made(
    product: Product, change: dict[str, Any], code: str, param: str
) -> None:
    body = {"name": "x", "scopes": ["route"], **change}
    answered = await product.call("POST", "/v1/keys", body)
    assert refused(answered) == (400, code)
    assert answered.json()["error"]["param"] == param
    assert product.rows("SELECT id FROM keys") == []


async def test_patch_knows_omitted_null_and_value(product: Product) -> None:
    key = await create(product, expires_at="2028-01-01T00:00:00Z", requests_per_minute=5)
    path = f"/v1/keys/{key['id']}"
    patched = (await product.call("PATCH", path, {"expires_at": None, "scopes": ["read"]})).json()
    assert (patched["expires_at"], patched["scopes"]) == (None, ["read"])
    assert (patched["name"], patched["requests_per_minute"]) == ("help center", 5)
    assert (await product.call("PATCH", path, {})).json() == patched
    assert refused(await product.call("PATCH", path, {"expires_at": NOW})) == (400, "invalid_value")
    assert refused(await ask(product, key["key"])) == (403, "missing_scope")


async def test_a_revoked_key_stops_at_once_and_stays_in_the_list(product: Product) -> None:
    key = await create(product)
    path = f"/v1/keys/{key['id']}"
    assert (await ask(product, key["key"])).status == 200
    revoked = (await product.call("DELETE", path)).json()
    assert revoked["revoked_at"] == NOW
    assert refused(await ask(product, key["key"])) == (401, "key_revoked")
    again = (await product.call("DELETE", path)).json()
    assert again["this_month"]["refusals"] == {"key_revoked": 1}
    assert again["revoked_at"] == NOW
    assert refused(await product.call("PATCH", path, {"name": "x"})) == (409, "key_revoked")
    actions = (await product.call("GET", "/v1/audit?resource=key")).json()["data"]
    assert [entry["action"] for entry in actions] == ["revoke", "create"]


async def test_another_isolate_refuses_a_revoked_key_within_5_seconds(
    product: Product, database: SqliteDatabase, settings: Settings
) -> None:
    key = await create(product)
    other = Product(database, settings, clock=product.clock)
    assert (await ask(other, key["key"])).status == 200
    await product.call("DELETE", f"/v1/keys/{key['id']}")
    product.clock.seconds += 5
    assert refused(await ask(other, key["key"])) == (401, "key_revoked")


async def test_a_key_expires_on_the_second_without_a_read(product: Product) -> None:
    key = await create(product, expires_at="2027-01-15T08:00:03Z")
    assert (await ask(product, key["key"])).status == 200
    product.clock.seconds += 2.9
    assert (await ask(product, key["key"])).status == 200
    product.clock.seconds += 0.1
    assert refused(await ask(product, key["key"])) == (401, "key_expired")


async def test_a_known_key_costs_no_read_and_an_unknown_one_a_single_one(product: Product) -> None:
    key = await create(product)
    guess = "en_" + "0" * 40

    def reads() -> int:
        return sum("FROM keys" in each.sql for each in product.database.statements)

    for wanted, expected in ((key["key"], 1), (guess, 1), ("en_short", 0), ("x" * 43, 0)):
        before = reads()
        for _ in range(5):
            await product.call("GET", "/v1/models", key=wanted)
        assert reads() - before == expected, wanted


async def test_guessing_neither_grows_memory_nor_pushes_out_known_keys(product: Product) -> None:
    key = await create(product)
    await ask(product, key["key"])
    for n in range(2_000):
        await product.call("GET", "/v1/models", key=f"en_{n:040}")
    product.database.statements.clear()
    assert (await product.call("GET", "/v1/models", key=key["key"])).status == 200
    assert product.database.statements == []
    assert len(product.services.identity._keys._absent) == 256


async def test_looking_keys_up_is_limited_by_address(product: Product) -> None:
    key = await create(product)
    await ask(product, key["key"])
    product.limiter.open = False
    product.database.statements.clear()
    headers = {"cf-connecting-ip": "192.0.2.7"}
    answered = await product.call("GET", "/v1/models", key="en_" + "0" * 40, headers=headers)
    assert refused(answered) == (429, "edge_rate_limited")
    assert product.limiter.keys[-1] == "credentials 192.0.2.7"
    [counted] = product.database.statements
    assert counted.sql.startswith("INSERT INTO refusals")


async def test_while_d1_is_away_kept_keys_go_on_and_others_are_told(product: Product) -> None:
    kept, other = await create(product), await create(product)
    await ask(product, kept["key"])
    product.database.failing = True
    for _ in range(3):
        product.clock.seconds += 10
        assert (await product.call("GET", "/v1/models", key=kept["key"])).status == 200
    answered = await product.call("GET", "/v1/models", key=other["key"])
    assert refused(answered) == (503, "database_unavailable")
    assert (await product.call("DELETE", f"/v1/keys/{kept['id']}")).status == 503
    assert (await product.call("GET", "/v1/models", key=kept["key"])).status == 200
    product.database.failing = False
    assert (await product.call("GET", "/v1/models", key=other["key"])).status == 200


@pytest.fixture
def watched(settings: Settings) -> Iterator[tuple[Product, WatchedDatabase]]:
    database = WatchedDatabase()
    yield Product(database, settings), database
    database.close()


async def test_a_read_under_way_does_not_bring_a_revoked_key_back(
    watched: tuple[Product, WatchedDatabase],
) -> None:
    product, database = watched
    key = await create(product)

    async def revoke() -> None:
        await product.call("DELETE", f"/v1/keys/{key['id']}")

    database.after("SELECT k.id", revoke)
    assert (await product.call("GET", "/v1/users", key=key["key"])).status == 403
    answered = await product.call("GET", "/v1/users", key=key["key"])
    assert refused(answered) == (401, "key_revoked")


async def test_a_revoked_key_stops_while_the_revision_is_being_read(
    watched: tuple[Product, WatchedDatabase],
) -> None:
    product, database = watched
    key = await create(product)
    assert (await product.call("GET", "/v1/models", key=key["key"])).status == 200
    await product.call("DELETE", f"/v1/keys/{key['id']}")
    meanwhile: list[Answered] = []

    async def another_request() -> None:
        meanwhile.append(await product.call("GET", "/v1/models", key=key["key"]))

    database.before("SELECT value AS routing", another_request)
    await product.call("GET", "/v1/models", key=key["key"])
    assert refused(meanwhile[0]) == (401, "key_revoked")


async def test_a_change_that_a_revocation_overtakes_is_refused(
    watched: tuple[Product, WatchedDatabase],
) -> None:
    product, database = watched
    key = await create(product)

    async def revoke() -> None:
        await product.call("DELETE", f"/v1/keys/{key['id']}")

    database.before("UPDATE keys SET name", revoke)
    answered = await product.call("PATCH", f"/v1/keys/{key['id']}", {"name": "x"})
    assert refused(answered) == (409, "key_revoked")
    assert product.rows("SELECT name FROM keys") == [{"name": "help center"}]


async def test_a_users_key_does_no_more_than_the_users_role(product: Product) -> None:
    user = await create_user(product, "labeler")
    body = {"name": "x", "scopes": ["admin"], "user_id": user["id"]}
    beyond = await product.call("POST", "/v1/keys", body)
    assert refused(beyond) == (400, "scope_exceeds_role")
    key = await create(product, scopes=["route", "label"], user_id=user["id"])
    assert (await ask(product, key["key"])).status == 200
    await product.call("PATCH", f"/v1/users/{user['id']}", {"role": "viewer"})
    assert refused(await ask(product, key["key"])) == (403, "missing_scope")
    assert (await product.call("GET", "/v1/logs", key=key["key"])).status == 200
    patched = await product.call("PATCH", f"/v1/keys/{key['id']}", {"scopes": ["route"]})
    assert refused(patched) == (400, "scope_exceeds_role")


async def test_keys_are_listed_by_page_and_by_user(product: Product) -> None:
    user = await create_user(product)
    ids = [(await create(product, user_id=user["id"] if n == 1 else None))["id"] for n in range(3)]
    page = (await product.call("GET", "/v1/keys?limit=2")).json()
    rest = (await product.call("GET", f"/v1/keys?limit=2&after={page['last_id']}")).json()
    assert [key["id"] for key in page["data"] + rest["data"]] == ids
    assert (page["has_more"], rest["has_more"]) == (True, False)
    of_user = (await product.call("GET", f"/v1/keys?user_id={user['id']}")).json()["data"]
    assert [key["id"] for key in of_user] == [ids[1]]


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_an_unknown_key_id_is_a_404(product: Product, method: str) -> None:
    answered = await product.call(method, "/v1/keys/key_none", {} if method == "PATCH" else None)
    assert refused(answered) == (404, "unknown_key")


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer wrong"},
        {"authorization": f"Bearer {'x' * 32}"},
        {"x-api-key": "wrong"},
        {"authorization": f"Bearer en_{'0' * 40}"},
    ],
)
async def test_refused_credentials_are_counted_by_address(
    product: Product, headers: dict[str, str]
) -> None:
    headers = {**headers, "cf-connecting-ip": "192.0.2.7"}
    product.limiter.keys.clear()
    for _ in range(2):  # the second time the isolate knows that there is no such key
        answered = await product.call("GET", "/v1/models", key=None, headers=headers)
        assert refused(answered) == (401, "invalid_api_key")
    assert product.limiter.keys == ["credentials 192.0.2.7"] * 2
    product.limiter.open = False
    answered = await product.call("GET", "/v1/models", key=None, headers=headers)
    assert refused(answered) == (429, "edge_rate_limited")


async def test_a_call_without_a_credential_or_with_a_right_one_is_no_guess(
    product: Product,
) -> None:
    product.limiter.keys.clear()
    assert (await product.call("GET", "/v1/models", key=None)).status == 401
    assert product.limiter.keys == []
    assert (await product.call("GET", "/v1/models")).status == 200
    assert product.limiter.keys == ["admin_token"]


@pytest.mark.parametrize("length", [1, MIN_ADMIN_TOKEN - 1])
async def test_a_short_admin_token_is_not_accepted(
    database: SqliteDatabase, settings: Settings, length: int
) -> None:
    token = "x" * length
    product = Product(database, replace(settings, admin_token=token))
    answered = await product.call("GET", "/v1/models", key=token)
    assert refused(answered) == (503, "not_configured")
    assert f"at least {MIN_ADMIN_TOKEN}" in answered.json()["error"]["message"]
    assert refused(await product.call("GET", "/v1/models", key="wrong")) == (401, "invalid_api_key")
