"""The hourly cron: old rows go in chunks, with their feedback and out of the full text index."""

from edgeneuro.store.logs import delete_logs_before
from edgeneuro.store.usage import add_new_logs
from tests.unit.conftest import Product, says
from tests.unit.invocations import run_maintenance
from tests.unit.trainings import minute

DAY = 86_400


# The columns that are not null.
CHALLENGER = "(log_id, created_at, model_id, failed, agrees, ms)"


async def ask(product: Product, query: str) -> str:
    product.gateway.enqueue(says("hr"))
    log_id: str = (await product.route(query, cache=False)).json()["id"]
    return log_id


async def queries(product: Product, filters: str = "") -> list[str]:
    page = (await product.call("GET", f"/v1/logs?limit=100{filters}")).json()
    return [entry["query"] for entry in page["data"]]


async def copies(product: Product, count: int) -> None:
    """So many more rows like the one that is there."""
    await ask(product, "the old question")
    columns = [row["name"] for row in product.rows("SELECT name FROM pragma_table_info('logs')")]
    others = ", ".join(name for name in columns if name not in ("seq", "id"))
    product.execute(
        f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count - 1})"
        f" INSERT INTO logs (id, {others}) SELECT 'copy_' || i, {others} FROM n, logs"
    )


async def test_rows_go_when_their_days_are_over(product: Product) -> None:
    old = await ask(product, "an old question")
    await product.call("POST", "/v1/feedback", {"decision_id": old, "value": "down"})
    await product.call("PUT", f"/v1/logs/{old}/label", {"agent_id": "hr"})
    product.clock.seconds += 60 * DAY
    young = await ask(product, "a young question")
    await product.call("POST", "/v1/feedback", {"decision_id": young, "value": "up"})
    product.clock.seconds += 30 * DAY
    await run_maintenance(product.services)
    assert await queries(product) == ["a young question", "an old question"]  # 90 days, not over
    product.clock.seconds += 1
    await run_maintenance(product.services)
    assert await queries(product) == ["a young question"]
    assert await queries(product, "&q=question") == ["a young question"]
    assert await queries(product, "&q=old") == []
    # Not against the rows: texts without letters beyond ASCII are in the other index alone.
    product.execute("INSERT INTO logs_fts (logs_fts) VALUES ('integrity-check')")
    assert product.rows("SELECT decision_id FROM feedback") == [{"decision_id": young}]
    [label] = (await product.call("GET", "/v1/labels")).json()["data"]
    assert (label["query"], label["log_id"]) == ("an old question", old)


async def test_the_days_are_a_setting(product: Product) -> None:
    await ask(product, "q")
    product.execute("INSERT INTO config VALUES ('retention_days', '1', 0)")
    product.clock.seconds += DAY + 1
    await run_maintenance(product.services)
    assert await queries(product) == []


async def test_it_goes_in_chunks_and_loads_no_rows(product: Product) -> None:
    await copies(product, 2_500)
    await add_new_logs(product.database)
    product.database.statements.clear()
    now_ms = product.services.now_ms() + 1
    assert await delete_logs_before(product.database, now_ms, max_chunks=2) == 2_000
    assert product.rows("SELECT count(*) AS n FROM logs") == [{"n": 500}]
    assert await delete_logs_before(product.database, now_ms) == 500
    assert await delete_logs_before(product.database, now_ms) == 0
    kinds = {one.sql.split()[0] for one in product.database.statements}
    assert kinds == {"DELETE", "SELECT"}
    assert {one.sql for one in product.database.statements if one.sql.startswith("SELECT")} == {
        "SELECT 1 FROM logs WHERE created_at < ?1 LIMIT 1",
        "SELECT 1 FROM summed_logs WHERE seq + ?1 <= (SELECT max(seq) FROM logs)",
        "SELECT changes() AS gone",
    }
    assert product.rows("SELECT * FROM logs_fts WHERE logs_fts MATCH 'question'") == []


async def test_every_minute_what_is_over_goes(product: Product) -> None:
    """An hourly run alone would fall behind a service with many queries."""
    await copies(product, 2_500)
    product.execute(
        f"INSERT INTO challenger_answers {CHALLENGER} SELECT id, created_at, 'm', 0, 1, 1 FROM logs"
    )
    product.clock.seconds += 91 * DAY
    await minute(product)
    for table in ("logs", "challenger_answers"):
        assert product.rows(f"SELECT * FROM {table}") == []
    assert product.failures.counts == {}


async def test_answers_of_a_challenger_without_a_log_row_go_too(product: Product) -> None:
    product.execute(
        f"INSERT INTO challenger_answers {CHALLENGER} VALUES ('dec_none', 0, 'm', 0, 1, 1)"
    )
    await run_maintenance(product.services)
    assert product.rows("SELECT * FROM challenger_answers") == []


async def test_expired_answers_go_too(product: Product) -> None:
    product.gateway.enqueue(says("hr"))
    await product.route("Leave?")
    product.clock.seconds += 3_601
    await run_maintenance(product.services)
    assert product.rows("SELECT * FROM decision_cache") == []
    assert await queries(product) == ["Leave?"]


async def test_a_task_that_fails_is_counted_and_the_others_run(product: Product) -> None:
    await ask(product, "q")
    product.clock.seconds += 91 * DAY
    product.execute("DROP TABLE decision_cache")
    await run_maintenance(product.services)
    assert product.failures.counts == {"cache_purge": 1}
    assert await queries(product) == []


async def test_the_chunks_are_found_by_the_index(product: Product) -> None:
    await ask(product, "q")
    await add_new_logs(product.database)
    product.database.statements.clear()
    await delete_logs_before(product.database, product.services.now_ms() + 1)
    for one in product.database.statements:
        if "logs" in one.sql and "summed_logs" not in one.sql:
            plan = product.database._connection.execute(
                f"EXPLAIN QUERY PLAN {one.sql}", one.parameters
            ).fetchall()
            steps = " | ".join(row["detail"] for row in plan)
            assert "logs_created_at" in steps
            assert "TEMP B-TREE" not in steps
