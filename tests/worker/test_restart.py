"""What the death of its processes leaves of the product: `npm start` starts them again on the same
data. All of them are killed once for all tests, since it takes seconds."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.waiting import until
from tests.worker.adapters import write_adapter
from tests.worker.product import LocalProduct, Product
from tests.worker.test_control_plane import LLAMA, LORA
from tests.worker.test_loras import SECONDS, send
from tests.worker.test_loras import until as until_adapter

QUERY = {"query": "Badge lost, after a restart"}
IN_SESSION = {"query": "Laptop lost, before a restart", "session": "restarted"}


OF_A_NEWER_VERSION = (
    "INSERT INTO d1_migrations (name) VALUES ('9000_newer.sql')",
    "UPDATE schema_compatibility SET writable_from = 9000",
)
OF_THIS_VERSION = (
    "DELETE FROM d1_migrations WHERE name = '9000_newer.sql'",
    "UPDATE schema_compatibility SET writable_from = 47",
)


def set_schema(product: LocalProduct, *statements: str) -> None:
    with closing(sqlite3.connect(product.database)) as database, database:
        for each in statements:
            database.execute(each)


@dataclass(frozen=True)
class Restarted:
    """`before`: the decision on QUERY before the restart; `lora_id`: an adapter whose upload failed
    until then, and whose files are in D1 alone; `on_newer`: what was answered right after it, while
    the database had a newer schema; `said`: what the terminal shows."""

    client: httpx.Client
    before: dict[str, Any]
    lora_id: str
    on_newer: dict[str, httpx.Response]
    said: list[str]


@pytest.fixture(scope="module")
def restarted(product: Product, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restarted]:
    if not isinstance(product, LocalProduct):
        pytest.skip("a deployment cannot be restarted")
    headers = {"authorization": f"Bearer {product.admin_token}"}
    with httpx.Client(base_url=product.public_url, headers=headers, timeout=SECONDS) as client:
        client.post("/v1/models/select", json={"model_id": LORA}).raise_for_status()
        client.delete("/v1/agents/legal").raise_for_status()
        first = client.post("/v1/route", json=QUERY | {"cache": False}).raise_for_status().json()
        until(lambda: client.get(f"/v1/logs/{first['id']}").status_code == 200)
        # The second time it is asked, D1 gets the answer too.
        before = client.post("/v1/route", json=QUERY).raise_for_status().json()
        in_session = client.post("/v1/route", json=IN_SESSION).raise_for_status().json()
        # The row and the cache, or the session, are written in one batch after the answer.
        logs = [f"/v1/logs/{decision['id']}" for decision in (before, in_session)]
        until(lambda: all(client.get(path).status_code == 200 for path in logs))
        # This fault ends with the product.
        fault = {"finetunes:assets": {"kind": "refuse"}}
        httpx.put(f"{product.local_ai_url}/_local/faults", json=fault).raise_for_status()
        adapter = write_adapter(tmp_path_factory.mktemp("adapter"))
        lora_id = send(client, "restarted-v1", adapter).raise_for_status().json()["id"]
        waiting = until_adapter(client, lora_id, "running", error=True)
        assert waiting["error"]["retryable"]
        product.kill_runtime()
        said = list(product.output)
        set_schema(product, *OF_A_NEWER_VERSION)
        product.kill_proxy_and_emulator()
        said += product.output
        on_newer = {
            "health": client.get("/healthz"),
            "change": client.patch("/v1/config", json={"confidence_threshold": 0.5}),
            "decision": client.post("/v1/route", json=QUERY | {"cache": False}),
        }
        set_schema(product, *OF_THIS_VERSION)
        until(lambda: client.get("/healthz").json()["schema"]["changes_allowed"])
        yield Restarted(client, before, lora_id, on_newer, said)
        client.post("/v1/models/select", json={"model_id": LLAMA}).raise_for_status()


def test_selection_agents_logs_and_cache_are_as_before(restarted: Restarted) -> None:
    client = restarted.client
    again = client.post("/v1/route", json=QUERY).json()
    assert (again["cache"], again["adapter"]) == ("hit", LORA)
    logged = [entry["id"] for entry in client.get("/v1/logs").json()["data"]]
    assert restarted.before["id"] in logged
    agents = [agent["id"] for agent in client.get("/v1/agents").json()["data"]]
    assert "legal" not in agents
    session = client.get("/v1/sessions/restarted").raise_for_status().json()
    assert (session["previous_user"], session["turns"]) == (IN_SESSION["query"], 1)
    assert "hr" in agents


def test_an_upload_goes_on(restarted: Restarted) -> None:
    made = until_adapter(restarted.client, restarted.lora_id, "available", "failed")
    assert made["state"] == "available", made


def test_on_a_newer_schema_it_routes_and_refuses_changes(restarted: Restarted) -> None:
    """As a Worker that was rolled back does."""
    found = restarted.on_newer
    schema = found["health"].json()["schema"]
    assert (schema["database"], schema["state"]) == (9000, "newer")
    assert found["decision"].json()["agent"] == restarted.before["agent"]
    assert found["change"].status_code == 503
    assert found["change"].json()["error"]["code"] == "schema_mismatch"


def test_the_terminal_says_which_process_ended(restarted: Restarted) -> None:
    said = "".join(restarted.said)
    assert "A process of the Worker ended, and is being restarted." in said
    assert "Wrangler's proxy ended. Restarting the Worker." in said
    assert "The local AI server ended (signal 9). Restarting the local AI server." in said
    assert restarted.client.post("/v1/route", json={"query": "New?"}).json()["layer"] == "llm"
