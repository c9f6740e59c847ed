"""What is left of answers where the isolate is killed after them, or D1 is slow."""

from collections.abc import Sequence
from typing import Any

from edgeneuro.app.application import App
from edgeneuro.call import Background
from edgeneuro.settings import Settings
from edgeneuro.store.database import Rows, Statement
from edgeneuro.store.usage import add_new_logs
from edgeneuro.web.request import Request
from edgeneuro.web.response import Response
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.clock import Clock
from tests.unit.conftest import SCHEMA, Product, add_agents, says
from tests.unit.test_log_writes import answers


class Killed:
    """The app of an isolate that is killed right after each answer."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def handle(self, request: Request, background: Background) -> Response:
        return await self._app.handle(request, lambda work: work.close())


async def test_an_isolate_that_is_killed_loses_rows_and_no_more(product: Product) -> None:
    """The budget holds back what was reserved, and the same question and session go on."""
    body = {"name": "k", "scopes": ["route"], "monthly_token_budget": 100_000}
    key = (await product.call("POST", "/v1/keys", body)).json()["key"]
    other = Product(product.database, product.services.settings, clock=product.clock)
    killed: Any = Killed(product.app)
    product.app = killed
    for isolate in (product, other):
        isolate.gateway.enqueue(says("hr"))
        asked = {"query": "Leave?", "session": "s"}
        answered = await isolate.call("POST", "/v1/route", asked, key=key)
        assert (answered.status, answered.json()["layer"]) == (200, "llm")
    [row] = await other.logs()
    assert row["id"] == answered.json()["id"]
    await add_new_logs(product.database)
    assert answers(product.database) == 1
    [usage] = product.rows("SELECT tokens FROM key_usage")
    assert usage["tokens"] > row["usage"]["total_tokens"]


class SlowDatabase(SqliteDatabase):
    """Each call takes 5 s, once it has a clock."""

    clock: Clock | None = None

    async def batch(self, statements: Sequence[Statement], /) -> list[Rows]:
        if self.clock is not None:
            await self.clock.sleep(5)
        return await super().batch(statements)


async def test_with_a_slow_database_each_answer_has_its_row(settings: Settings) -> None:
    database = SlowDatabase(SCHEMA)
    product = await add_agents(Product(database, settings))
    product.gateway.enqueue(says("hr"), says("hr"))
    await product.route("Leave?")
    database.clock = product.clock
    for query in ("Leave?", "Vacation?"):
        product.clock.seconds += 60  # the configuration is read again
        assert (await product.route(query)).json()["agent"]["id"] == "hr"
    database.clock = None
    assert [row["query"] for row in await product.logs()] == ["Vacation?", "Leave?", "Leave?"]
    assert set(product.failures.counts) <= {"log_write_retry"}
    await add_new_logs(database)
    assert answers(database) == 3
