"""What an isolate caches of the routing configuration and of keys: what makes it read again, and
what happens when reads overtake each other or D1 fails."""

import pytest

from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import UpstreamTimeoutError
from edgeneuro.settings import Settings
from tests.unit.conftest import GENERAL, HR, Answered, Product, says
from tests.unit.watched import WatchedDatabase

LLAMA = "@cf/meta/llama-3.2-1b-instruct"
REVISIONS = "SELECT value AS routing, access, labels FROM revision"
KEY = {"name": "help center", "scopes": ["read"]}
USER = {"email": "ada@example.com", "name": "Ada", "role": "viewer"}


def refused(answered: Answered) -> tuple[int, str]:
    return answered.status, answered.json()["error"]["code"]


@pytest.mark.parametrize(("path", "body"), [("/v1/keys", KEY), ("/v1/users", USER)])
async def test_a_new_key_or_user_reloads_nothing_and_closes_no_breaker(
    product: Product, path: str, body: dict[str, object]
) -> None:
    await product.call("PATCH", "/v1/config", {"max_retries": 0, "fallback_models": []})
    for number in range(5):
        product.gateway.enqueue(UpstreamTimeoutError("slow"))
        await product.route(f"Question {number}")
    other = Product(product.database, product.services.settings, gateway=product.gateway)
    other.gateway.enqueue(says("hr"))
    await other.route("Leave?")
    assert (await product.call("POST", path, body)).status == 201
    product.database.statements.clear()
    other.clock.seconds += 6
    other.gateway.enqueue(says("hr"))
    await other.route("Pay?", cache=False)
    reads = [one.sql for one in product.database.statements if one.sql.startswith("SELECT")]
    assert reads == [REVISIONS]
    decision = (await product.route("Leave?", cache=False)).json()
    assert [attempt["outcome"] for attempt in decision["attempts"]] == ["circuit_open"]


async def test_a_new_key_is_known_to_other_isolates_within_seconds(product: Product) -> None:
    other = Product(product.database, product.services.settings)
    key = (await product.call("POST", "/v1/keys", KEY)).json()
    assert (await other.call("GET", "/v1/models", key=key["key"])).status == 200
    await product.call("DELETE", f"/v1/keys/{key['id']}")
    other.clock.seconds += 6
    assert refused(await other.call("GET", "/v1/models", key=key["key"])) == (401, "key_revoked")


@pytest.mark.parametrize("statement", [REVISIONS, "SELECT key, value FROM config"])
async def test_an_older_read_does_not_overwrite_a_newer_configuration(
    settings: Settings, statement: str
) -> None:
    database = WatchedDatabase()
    product = Product(database, settings)
    routing = product.services.routing
    await product.call("POST", "/v1/agents", GENERAL)
    newer: list[RoutingConfig] = []

    async def change() -> None:
        product.execute("UPDATE agents SET name = 'Newer'")
        newer.append(await routing.fresh())

    await routing.fresh()
    product.execute("UPDATE agents SET name = 'Older'")
    database.after(statement, change)
    older = await routing.fresh()
    assert newer[0].agents["general"].name == "Newer"
    assert older.agents["general"].name == "Newer"
    assert (await routing.current()).agents["general"].name == "Newer"
    database.close()


async def test_an_own_write_counts_for_requests_that_arrive_while_another_reads_it(
    settings: Settings,
) -> None:
    database = WatchedDatabase()
    product = Product(database, settings)
    routing = product.services.routing
    await product.call("POST", "/v1/agents", GENERAL)
    await routing.current()
    seen: list[RoutingConfig] = []

    async def arrive() -> None:
        seen.append(await routing.current())

    product.execute("UPDATE agents SET name = 'Written'")
    routing.forget()
    database.before(REVISIONS, arrive)
    await routing.current()
    assert seen[0].agents["general"].name == "Written"
    product.database.statements.clear()
    await routing.current()
    assert product.database.statements == []
    database.close()


async def test_a_failing_database_is_not_asked_by_every_request_after_a_write(
    product: Product,
) -> None:
    routing = product.services.routing
    await product.call("POST", "/v1/agents", GENERAL)
    await routing.current()
    routing.forget()
    product.database.failing = True
    await routing.current()
    asked = len(product.database.statements)
    await routing.current()
    assert len(product.database.statements) == asked


async def test_a_restored_database_with_a_lower_revision_is_read(product: Product) -> None:
    await product.call("GET", "/v1/config")
    product.execute("DELETE FROM agents WHERE id = 'hr'")
    product.execute("UPDATE revision SET value = 1")
    assert list((await product.services.routing.fresh()).agents) == ["general", "it_support"]


@pytest.mark.parametrize("path", ["/v1/config", "/v1/models/select"])
async def test_without_d1_the_control_plane_shows_no_old_configuration(
    product: Product, path: str
) -> None:
    assert (await product.call("GET", path)).status == 200
    product.database.failing = True
    assert refused(await product.call("GET", path)) == (503, "database_unavailable")
    product.gateway.enqueue(says("hr"))
    assert (await product.route("Leave?")).json()["agent"]["id"] == "hr"


async def test_a_write_whose_result_cannot_be_read_is_no_success(settings: Settings) -> None:
    database = WatchedDatabase()
    product = Product(database, settings)
    await product.call("POST", "/v1/agents", HR)

    async def away() -> None:
        database.failing = True

    database.after("INSERT INTO config", away)
    answered = await product.call("PATCH", "/v1/config", {"max_retries": 3})
    assert refused(answered) == (503, "database_unavailable")
    database.failing = False
    stored = (await product.call("GET", "/v1/config")).json()["max_retries"]
    assert stored == {"value": 3, "source": "stored"}
    database.close()
