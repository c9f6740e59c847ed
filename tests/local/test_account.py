"""The emulated account: what wrangler and `npm run deploy` cannot show of it."""

import json

import httpx
import pytest

from local.account.database import Database, QueryError, statements
from tests.local.emulator import Emulator

ROOT = "/client/v4/accounts/acc"
AUTHORIZED = {"authorization": "Bearer token"}


@pytest.fixture
def client(emulator: Emulator) -> httpx.AsyncClient:
    emulator.client.headers.update(AUTHORIZED)
    return emulator.client


def refusal(answer: httpx.Response) -> tuple[int, int]:
    return answer.status_code, answer.json()["errors"][0]["code"]


async def test_a_call_without_a_token_is_refused(emulator: Emulator) -> None:
    for path in ("/client/v4/accounts", f"{ROOT}/d1/database", f"{ROOT}/workers/scripts/a/secrets"):
        assert refusal(await emulator.client.get(path)) == (403, 10000)


async def test_what_is_not_there_has_cloudflares_codes(client: httpx.AsyncClient) -> None:
    for path, code in (
        ("workers/services/a", 10090),
        ("workers/scripts/a/settings", 10007),
        ("d1/database/a", 7404),
    ):
        assert refusal(await client.get(f"{ROOT}/{path}")) == (404, code)


async def test_a_database_is_made_once_and_asked(client: httpx.AsyncClient) -> None:
    made = (await client.post(f"{ROOT}/d1/database", json={"name": "a"})).json()["result"]
    again = await client.post(f"{ROOT}/d1/database", json={"name": "a"})
    assert refusal(again) == (400, 7502)
    query = f"{ROOT}/d1/database/{made['uuid']}/query"
    answer = await client.post(query, json={"sql": "SELECT ?1 AS x", "params": [7]})
    assert answer.json()["result"][0]["results"] == [{"x": 7}]
    assert refusal(await client.post(query, json={"sql": "SELECT nothing"})) == (400, 7500)
    assert refusal(await client.post(query, json={"query": ""})) == (400, 7400)


async def test_an_upload_without_its_main_module_is_refused(client: httpx.AsyncClient) -> None:
    metadata = json.dumps({"main_module": "entry.py", "bindings": []})
    answer = await client.put(
        f"{ROOT}/workers/scripts/a",
        data={"metadata": metadata},
        files={"other.py": ("other.py", b"", "text/x-python")},
    )
    assert refusal(answer) == (400, 10021)
    account = (await client.get("/_local/account")).json()
    assert account["workers"] == []


def test_a_query_is_one_transaction() -> None:
    database = Database("a")
    database.query("CREATE TABLE t (x INTEGER)")
    with pytest.raises(QueryError, match="no such table"):
        database.query("INSERT INTO t VALUES (1); INSERT INTO missing VALUES (1)")
    assert database.rows("SELECT * FROM t") == []


def test_a_script_is_divided_at_the_ends_of_its_statements() -> None:
    trigger = "CREATE TRIGGER a AFTER INSERT ON t BEGIN DELETE FROM t; DELETE FROM u; END;"
    script = f"-- only words; and more\n{trigger}\nSELECT ';'; \n-- the end"
    parts = [each.strip() for each in statements(script)]
    assert parts == [f"-- only words; and more\n{trigger}", "SELECT ';';"]
