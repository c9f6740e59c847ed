"""Requests counted over time: from log rows, and from sums where there are too many rows."""

from collections import Counter
from typing import Any

import pytest

from edgeneuro.domain.log import LogsFilter
from edgeneuro.store.log_histogram import CountedLogs, count_logs
from edgeneuro.store.sql import rfc3339, unix_ms
from edgeneuro.store.usage import DAY, sum_finished_days
from tests.unit.conftest import Product
from tests.unit.test_analytics import MIDNIGHT, NOW, random_rows, write

FIRST = MIDNIGHT - 4 * DAY


async def histogram(product: Product, query: str = "") -> dict[str, Any]:
    answered = await product.call("GET", f"/v1/logs/histogram?{query}")
    assert answered.status == 200, answered.text
    found: dict[str, Any] = answered.json()
    width = 1_000 * found["interval_seconds"]
    starts = [unix_ms(bucket["start"]) for bucket in found["buckets"]]
    first, stop = unix_ms(found["from"]), unix_ms(found["to"])
    assert starts == list(range(first - first % width, stop, width))
    assert len(starts) <= 61
    assert found["total"] == sum(bucket["requests"] for bucket in found["buckets"])
    return found


def is_fallback(row: dict[str, Any]) -> bool:
    return row["layer"] == "fallback" and row["status"] == 200 and row["agent_id"] is not None


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ("", lambda row: True),
        ("layer=llm", lambda row: row["layer"] == "llm"),
        ("error=true", lambda row: row["status"] != 200),
        ("labelled=false&min_latency_ms=60", lambda row: row["latency_ms"] >= 60),
        ("error=false&layer=fallback", lambda row: is_fallback(row)),
        (
            "from=2027-01-13&to=2027-01-14T06:00:00Z",
            lambda row: (
                unix_ms("2027-01-13") <= row["created_at"] < unix_ms("2027-01-14T06:00:00Z")
            ),
        ),
    ],
)
async def test_buckets_add_up_to_the_rows_that_fit(product: Product, query: str, fits: Any) -> None:
    rows = random_rows(1, 300, FIRST, NOW)
    await write(product.database, rows)
    found = await histogram(product, query)
    assert (found["counted"], found["searched_from"]) == ("rows", None)
    width = 1_000 * found["interval_seconds"]
    fitting = [row for row in rows if fits(row)]
    assert 0 < len(fitting)
    starts = Counter(row["created_at"] // width * width for row in fitting)
    assert {
        unix_ms(bucket["start"]): bucket["requests"]
        for bucket in found["buckets"]
        if bucket["requests"]
    } == starts
    errors = sum(bucket["errors"] for bucket in found["buckets"])
    assert errors == sum(row["status"] != 200 for row in fitting)
    fallbacks = sum(bucket["fallback_answers"] for bucket in found["buckets"])
    assert fallbacks == sum(is_fallback(row) for row in fitting)


async def test_no_rows_no_buckets(product: Product) -> None:
    assert (await histogram(product))["buckets"] == []
    await write(product.database, random_rows(1, 9, FIRST, NOW))
    assert (await histogram(product, "label=hr"))["total"] == 0
    refused = await product.call("GET", "/v1/logs/histogram?layer=none")
    assert (refused.status, refused.json()["error"]["param"]) == (400, "layer")


WINDOW = 100  # of 300 rows


async def count(product: Product, **filters: str) -> CountedLogs:
    query = LogsFilter.model_validate(filters)
    found = await count_logs(product.database, query, now_ms=NOW, window=WINDOW)
    assert found is not None
    return found


def total(found: CountedLogs, name: str = "requests") -> int:
    return sum(bucket[name] for bucket in found.buckets)


async def test_more_rows_than_are_looked_at_are_counted_by_sums(product: Product) -> None:
    rows = random_rows(2, 300, FIRST, NOW)
    await write(product.database, rows)
    errors = [row for row in rows if row["status"] != 200]
    fallbacks = [row for row in rows if is_fallback(row)]
    for days_summed in (0, 4):
        summed = await sum_finished_days(product.database, now_ms=NOW) if days_summed else 0
        assert summed == days_summed
        by_hour = await count(product)
        assert (by_hour.counted, by_hour.searched_from, total(by_hour)) == ("hour", None, 300)
        assert (total(by_hour, "errors"), total(by_hour, "fallback_answers")) == (
            len(errors),
            len(fallbacks),
        )
        starts = Counter(row["created_at"] // by_hour.width * by_hour.width for row in rows)
        assert {bucket["start"]: bucket["requests"] for bucket in by_hour.buckets} == starts
        assert total(await count(product, error="true")) == len(errors)
        assert total(await count(product, outcome="fallback")) == len(fallbacks)
        by_day = await count(product, agent="hr")
        assert (by_day.counted, by_day.width) == ("day", DAY)
        assert total(by_day) == sum(row["agent_id"] == "hr" for row in rows)
        late = await count(product, reason="timeout", error="false")
        assert late.counted == "rows", "sums know one of these filters at a time"


async def test_other_filters_count_the_newest_rows_and_say_since_when(product: Product) -> None:
    rows = sorted(random_rows(3, 300, FIRST, NOW), key=lambda row: -row["created_at"])
    await write(product.database, rows)
    found = await count(product, agent="hr", kind="route")
    oldest = rows[WINDOW - 1]["created_at"]
    assert (found.counted, found.searched_from, found.start) == ("rows", oldest, oldest)
    assert total(found) == sum(row["agent_id"] == "hr" for row in rows[:WINDOW])
    few = await count(product, **{"from": rfc3339(oldest + 1)})
    assert (few.counted, few.searched_from, total(few)) == ("rows", None, WINDOW - 1)
