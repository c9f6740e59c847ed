"""Analytics and metrics over HTTP: they count what was routed, in real workerd on a real D1."""

import json
import uuid
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from scripts.cron import running_cron_url
from tests.waiting import until
from tests.worker.product import LocalProduct, Product

ADDITIVE = ("requests", "attempts", "cache_hits", "fallback_answers", "prompt_tokens", "errors")


def ask(client: httpx.Client, **query: str) -> Any:
    answered = client.get("/v1/analytics", params=query)
    assert answered.status_code == 200, answered.text
    return answered.json()


def log_rows(client: httpx.Client) -> list[Any]:
    rows: list[Any] = []
    query: dict[str, Any] = {"limit": 100}
    while True:
        page = client.get("/v1/logs", params=query).json()
        rows += page["data"]
        if not page["has_more"]:
            return rows
        query["after"] = page["last_id"]


def counted(client: httpx.Client, ids: set[str]) -> Any:
    """Analytics once the answers with these ids are logged, which happens after they are out."""
    until(lambda: ids <= {row["id"] for row in log_rows(client)})
    return ask(client, group_by="agent")


def test_an_export_has_the_rows_of_the_list(client: httpx.Client, answered: set[str]) -> None:
    counted(client, answered)
    with client.stream("GET", "/v1/logs/export", params={"kind": "route"}) as response:
        assert response.headers["content-type"] == "application/jsonl"
        *lines, end = [json.loads(line) for line in response.iter_lines()]
    assert lines == [row for row in log_rows(client) if row["kind"] == "route"]
    assert end == {
        "object": "log_export_end",
        "rows": len(lines),
        "has_more": False,
        "last_id": lines[-1]["id"],
    }


@pytest.fixture
def answered(client: httpx.Client) -> set[str]:
    """Three answers of which one is recalled."""
    unique = uuid.uuid4().hex
    queries = [f"My VPN broke {unique}", f"My  VPN broke {unique}", f"Days of leave {unique}"]
    return {client.post("/v1/route", json={"query": each}).json()["id"] for each in queries}


def test_the_sums_are_those_of_the_log_rows(client: httpx.Client, answered: set[str]) -> None:
    said = counted(client, answered)
    rows = log_rows(client)
    totals = said["totals"]
    assert totals["requests"] == len(rows)
    assert totals["attempts"] == sum(len(row["attempts"]) for row in rows)
    assert totals["cache_hits"] == sum(row["cache"] == "hit" for row in rows) > 0
    assert totals["prompt_tokens"] == sum(row["usage"]["prompt_tokens"] for row in rows)
    assert totals["latency_ms"]["p50"] is not None
    assert len(said["series"]) == 24
    for name in ADDITIVE:
        assert sum(period[name] for period in said["series"]) == totals[name]
        assert sum(group[name] for group in said["groups"]) == totals[name]
    bounds = {"from": said["from"], "to": said["to"]}
    alone = client.get("/v1/analytics/totals", params=bounds).json()
    assert alone["totals"].items() <= totals.items()
    assert alone["savings"] == said["savings"]


def test_savings_are_counted_and_estimated(client: httpx.Client, answered: set[str]) -> None:
    savings = counted(client, answered)["savings"]
    rows = log_rows(client)
    hits = sum(row["cache"] == "hit" and row["kind"] == "route" for row in rows)
    caches = [savings["stages"].get(name) for name in ("memory_cache", "stored_cache")]
    assert sum(cache["calls"] for cache in caches if cache) >= hits > 0
    assert savings["estimate"]
    assert savings["emulated"]  # at list prices: nobody pays
    assert savings["compared_with"]["decisions"] >= 2
    assert savings["compared_with"]["mean_ms"] > 0
    assert savings["cost_usd"] > 0
    for name in ("calls", "cost_usd", "time_ms"):
        days = sum(day[name] for day in savings["by_day"])
        assert days == pytest.approx(savings[name], abs=0.1)
        assert sum(each[name] for each in savings["stages"].values()) == pytest.approx(
            days, abs=0.1
        )


def test_by_day_over_a_year(client: httpx.Client, answered: set[str]) -> None:
    counted(client, answered)
    stop = ask(client)["to"]
    year = f"{int(stop[:4]) - 1}{stop[4:]}"
    said = ask(client, **{"from": year, "to": stop, "interval": "day", "group_by": "layer"})
    assert len(said["series"]) >= 365
    assert said["totals"]["requests"] >= len(answered)


def test_a_rebuild_changes_nothing_that_was_right(
    client: httpx.Client, answered: set[str], product: Product
) -> None:
    before = counted(client, answered)
    body = {"from": before["from"], "to": before["to"]}
    rebuilt = client.post("/v1/analytics/rebuild", json=body).json()
    assert (rebuilt["hours"], rebuilt["skipped"]) == (24, [])
    after = ask(client, group_by="agent", **body)
    assert after["totals"]["cost_usd"] == pytest.approx(before["totals"]["cost_usd"])
    # Sums of floats hang on the order of addition.
    assert after.pop("savings")["calls"] == before.pop("savings")["calls"]
    for said in (before, after):
        for part in (said["totals"], *said["series"], *said["groups"]):
            del part["cost_usd"]
    assert after == before
    audit = client.get("/v1/audit", params={"resource": "analytics"}).json()["data"]
    assert audit[0]["action"] == "rebuild"


def test_the_cron_sums_days(client: httpx.Client, product: Product) -> None:
    if not isinstance(product, LocalProduct):
        pytest.skip("only the local runtime fires a cron on request")
    fired = client.get(running_cron_url(product.state))
    assert fired.json()["outcome"] == "ok"


def test_a_bad_range_names_its_field(client: httpx.Client) -> None:
    answered = client.get("/v1/analytics", params={"from": "yesterday"})
    assert answered.status_code == 400
    assert answered.json()["error"]["param"] == "from"


def test_metrics_in_the_official_parser(client: httpx.Client, answered: set[str]) -> None:
    metrics = client.get("/metrics")
    assert metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(metrics.text)}
    answers = sum(sample.value for sample in families["edgeneuro_answers"].samples)
    assert answers >= len(answered)
    routes = {
        (sample.labels["method"], sample.labels["route"])
        for sample in families["edgeneuro_request_seconds"].samples
    }
    assert ("POST", "/v1/route") in routes
    assert families["edgeneuro_build_info"].samples[0].value == 1


def test_costs_are_estimated_from_the_decisions_here(client: httpx.Client) -> None:
    model = "@cf/cloudflare/clef-flash"
    stated: dict[str, str | float] = {"answers": 20_000_000, "classifier": 0.8, "model": model}
    costs = client.get("/v1/costs", params=stated).raise_for_status().json()
    assert costs["shares"]["classifier"] == 0.8
    assert costs["model"] == model
    assert costs["saved_usd"] > 0
    by_item = {each["item"]: each["usd"] for each in costs["costs"]["items"]}
    assert by_item["workers_requests"] == pytest.approx(10 * 0.30)
    total = costs["costs"]["platform_usd"] + costs["costs"]["models_usd"]
    assert costs["costs"]["total_usd"] == pytest.approx(total, abs=1e-3)
