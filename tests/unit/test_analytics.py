"""Analytics: sums against a naive count over the log rows themselves, and what keeps them equal."""

import json
import math
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from edgeneuro.domain.analytics import accuracy_of
from edgeneuro.domain.statistics import LAST_BUCKET, bucket_ms
from edgeneuro.errors import UpstreamTimeoutError
from edgeneuro.store.database import statement
from edgeneuro.store.sql import rfc3339, unix_ms
from edgeneuro.store.usage import (
    BUCKET,
    DAY,
    HOUR,
    SLOT,
    SLOTS_KEPT,
    add_new_logs,
    purge_slots,
    rebuild_hour,
    sum_day,
    sum_finished_days,
)
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import Product, says
from tests.unit.test_app import assert_error

NOW = 1_800_000_000_000  # 2027-01-15T08:00:00Z, the clock of the tests
MIDNIGHT = NOW - NOW % DAY
COLUMNS = {"agent": "agent_id", "key": "key_id"}
GROUPS = ["model", "agent", "layer", "reason", "adapter", "key"]
SUMMED = ["usage_hours", "latency_hours", "attempt_hours"]
Row = dict[str, Any]


def log_row(number: int, **fields: Any) -> Row:
    """A row of `logs` with what analytics read of it; the rest is filler."""
    row = {
        "id": f"dec_{number:08}",
        "created_at": NOW - HOUR,
        "request_id": "r",
        "key_id": "admin_token",
        "query": "q",
        "query_hash": None,
        "status": 200,
        "agent_id": "hr",
        "confidence": 0.9,
        "threshold": 0.5,
        "layer": "llm",
        "reason": None,
        "alternatives": "[]",
        "model": "m",
        "adapter": None,
        "cache": "miss",
        "attempts": [("m", None, "ok")],
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "cost_usd": 0.0,
        "latency_ms": 10.0,
        "prompt_version": "1",
        "agents_revision": "r",
        **fields,
    }
    row["attempts"] = json.dumps(
        [{"model": m, "adapter": a, "outcome": o} for m, a, o in row["attempts"]]
    )
    return row


async def write(database: SqliteDatabase, rows: list[Row]) -> None:
    """As the router writes them, with their sums."""
    for row in rows:
        row = {**row, "counted_later": 1}
        sql = f"INSERT INTO logs ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
        await database.run(statement(sql, *row.values()))
    await add_new_logs(database)


def random_rows(seed: int, count: int, start: int, stop: int) -> list[Row]:
    chance = random.Random(seed)
    models = [("small", None), ("large", None), ("base", "tuned")]
    rows = []
    for number in range(count):
        model, adapter = chance.choice(models)
        tries = [(m, a, chance.choice(["timeout", "capacity"])) for m, a in models[:2]]
        attempts = [*tries[: chance.randrange(3)], (model, adapter, "ok")]
        fields: Row = {
            "created_at": chance.randrange(start, stop),
            "key_id": chance.choice(["admin_token", "key_1", "key_2"]),
            "agent_id": chance.choice(["hr", "it_support", "general"]),
            "model": model,
            "adapter": adapter,
            "attempts": attempts,
            "prompt_tokens": chance.randrange(500),
            "completion_tokens": chance.randrange(50),
            "cost_usd": chance.choice([None, chance.random() / 1000]),
            "latency_ms": round(chance.lognormvariate(4, 1.5), 2),
        }
        kind = chance.randrange(6)
        if kind == 0:
            fields |= {"layer": "cache", "cache": "hit", "attempts": [], "cost_usd": 0.0}
        elif kind == 1:
            fields |= {"layer": "fallback", "reason": "low_confidence", "agent_id": "general"}
        elif kind == 2:
            fields |= {"layer": "fallback", "reason": "timeout", "model": None, "adapter": None}
            fields |= {"attempts": tries, "cache": "bypass"}
        elif kind == 3:
            fields |= {"layer": "fallback", "reason": "capacity", "model": None, "adapter": None}
            fields |= {"attempts": tries[:1], "status": 429, "agent_id": None}
        rows.append(log_row(number, **fields))
    return rows


def naive(rows: list[Row]) -> Row:
    attempts = [attempt for row in rows for attempt in json.loads(row["attempts"])]
    return {
        "requests": len(rows),
        "errors": sum(row["status"] != 200 for row in rows),
        "fallback_answers": sum(r["layer"] == "fallback" and r["status"] == 200 for r in rows),
        "cache_hits": sum(row["cache"] == "hit" for row in rows),
        "answered_without_model": sum(row["attempts"] == "[]" for row in rows),
        "attempts": len(attempts),
        "failed_attempts": sum(attempt["outcome"] != "ok" for attempt in attempts),
        "prompt_tokens": sum(row["prompt_tokens"] for row in rows),
        "completion_tokens": sum(row["completion_tokens"] for row in rows),
        "cost_usd": sum(row["cost_usd"] or 0 for row in rows),
        "unpriced_answers": sum(row["cost_usd"] is None for row in rows),
    }


def assert_metrics(said: Row, rows: list[Row]) -> None:
    expected = naive(rows)
    cost = expected.pop("cost_usd")
    assert {name: said[name] for name in expected} == expected
    assert close(said["cost_usd"], cost)
    assert said["total_tokens"] == expected["prompt_tokens"] + expected["completion_tokens"]
    for rate, part in (
        ("error_rate", "errors"),
        ("fallback_rate", "fallback_answers"),
        ("cache_hit_rate", "cache_hits"),
        ("without_model_rate", "answered_without_model"),
    ):
        if rows:
            assert close(said[rate], expected[part] / len(rows))
        else:
            assert said[rate] is None
    latencies = sorted(row["latency_ms"] for row in rows)
    for percent in (50, 95, 99):
        shown = said["latency_ms"][f"p{percent}"]
        if not rows:
            assert shown is None
        else:
            exact = latencies[max(math.ceil(len(rows) * percent / 100), 1) - 1]
            assert math.isclose(shown, exact, rel_tol=0.05)


def close(one: float, other: float) -> bool:
    """To a millionth. pytest.approx takes most of the time of tests that compare so many."""
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-6)


async def ask(product: Product, start: int, stop: int, **query: str) -> Row:
    words = "".join(f"&{name}={value}" for name, value in query.items())
    answered = await product.call(
        "GET", f"/v1/analytics?from={rfc3339(start)}&to={rfc3339(stop)}{words}"
    )
    assert answered.status == 200, answered.text
    body: Row = answered.json()
    return body


def assert_analytics(said: Row, rows: list[Row], step: int) -> None:
    """The whole answer against the rows in its range."""
    start, stop = unix_ms(said["from"]), unix_ms(said["to"])
    rows = [row for row in rows if start <= row["created_at"] < stop]
    assert_metrics(said["totals"], rows)
    periods = list(range(start - start % step, stop, step))
    assert [unix_ms(p["start"]) for p in said["series"]] == [max(p, start) for p in periods]
    for period, shown in zip(periods, said["series"], strict=True):
        within = [row for row in rows if row["created_at"] // step * step == period]
        assert_metrics(shown, within)
        assert shown["layers"] == Counter(row["layer"] for row in within)
    group_by: str = said["group_by"]
    column = COLUMNS.get(group_by, group_by)
    sizes = Counter(row[column] for row in rows)
    assert {group["key"]: group["requests"] for group in said["groups"]} == sizes
    for group in said["groups"]:
        assert_metrics(group, [row for row in rows if row[column] == group["key"]])
    for name in naive([]):
        assert close(sum(g[name] for g in said["groups"]), said["totals"][name])
        assert close(sum(p[name] for p in said["series"]), said["totals"][name])
    assert said["reasons"] == Counter(row["reason"] for row in rows if row["reason"])
    asked = Counter(
        (attempt["model"], attempt["adapter"], attempt["outcome"])
        for row in rows
        for attempt in json.loads(row["attempts"])
    )
    assert asked == {
        (model["model"], model["adapter"], outcome): count
        for model in said["models"]
        for outcome, count in model["outcomes"].items()
    }


@pytest.mark.parametrize("interval", ["hour", "day"])
@pytest.mark.parametrize(
    ("seed", "summed"),
    [(0, "no day"), (1, "every day"), (2, "some days"), (3, "then a late row")],
)
async def test_all_adds_up_to_the_log_rows(
    product: Product, seed: int, interval: str, summed: str
) -> None:
    """Each has other rows."""
    first = MIDNIGHT - 4 * DAY
    rows = random_rows(seed, 400, first, NOW)
    late = rows.pop()
    await write(product.database, rows)
    if summed != "no day":
        await sum_finished_days(product.database, now_ms=NOW)
    if summed == "some days":
        product.execute(f"UPDATE summed_days SET current = 0 WHERE day % {2 * DAY} = 0")
    if summed == "then a late row":
        late["created_at"] = first + DAY + 5
        await write(product.database, [late])
        rows.append(late)
    step = HOUR if interval == "hour" else DAY
    for start, stop, groups in (
        (first, NOW, GROUPS),
        (first + 7 * HOUR, MIDNIGHT - 5 * HOUR, GROUPS[seed % 3 :: 3]),
    ):
        for group_by in groups:
            said = await ask(product, start, stop, interval=interval, group_by=group_by)
            assert_analytics(said, rows, step)
        query = f"from={rfc3339(start)}&to={rfc3339(stop)}"
        short = (await product.call("GET", f"/v1/analytics/totals?{query}")).json()
        assert short["totals"].items() <= said["totals"].items()
        assert short["totals"]["requests"] > 0
        assert {name: short[name] for name in ("from", "to", "savings")} == {
            name: said[name] for name in ("from", "to", "savings")
        }


async def test_routed_answers_are_counted_as_they_are_logged(product: Product) -> None:
    product.gateway.enqueue(says("hr"), says("it_support", 0.1))
    product.gateway.enqueue(UpstreamTimeoutError("Too slow."), UpstreamTimeoutError("Too slow."))
    await product.route("Leave?")
    await product.route("Leave?")
    await product.route("VPN?")
    assert (await product.route("Pay?", fallback=False)).status == 504
    assert (await product.call("POST", "/v1/route", {"query": ""})).status == 400
    product.clock.seconds += 1
    said = (await product.call("GET", "/v1/analytics?group_by=agent")).json()
    assert (said["from"], said["to"]) == ("2027-01-14T09:00:00.000Z", "2027-01-15T09:00:00.000Z")
    totals = said["totals"]
    names = ("requests", "errors", "fallback_answers", "cache_hits", "attempts", "failed_attempts")
    assert [totals[name] for name in names] == [4, 1, 1, 1, 4, 2]
    assert {group["key"]: group["requests"] for group in said["groups"]} == {
        "hr": 2,
        "general": 1,
        None: 1,
    }
    assert said["reasons"] == {"low_confidence": 1, "timeout": 1}
    assert [period["requests"] for period in said["series"]] == [0] * 23 + [4]
    assert len(await product.logs()) == totals["requests"]


async def test_a_row_that_is_not_written_is_not_counted(product: Product) -> None:
    product.gateway.enqueue(says("hr"))
    product.execute("CREATE TRIGGER no BEFORE INSERT ON logs BEGIN SELECT raise(ABORT, 'no'); END")
    await product.route("Leave?")
    for table in SUMMED:
        assert product.rows(f"SELECT * FROM {table}") == []


async def test_an_empty_installation_has_zeros(product: Product) -> None:
    said = await ask(product, NOW - 366 * DAY, NOW, interval="day")
    assert len(said["series"]) == 367  # the range begins and ends in the middle of a day
    assert_analytics(said, [], DAY)
    assert said["groups"] == []
    assert said["totals"]["accuracy"]["accuracy"] is None


async def test_the_totals_of_an_empty_installation_are_zeros(product: Product) -> None:
    said = (await product.call("GET", "/v1/analytics/totals")).json()
    assert (said["totals"]["requests"], said["totals"]["latency_ms"]["p95"]) == (0, None)
    assert (said["savings"]["calls"], len(said["savings"]["by_day"])) == (0, 2)


async def test_every_metric_says_what_it_counts(product: Product) -> None:
    said = (await product.call("GET", "/v1/analytics")).json()
    shown = " ".join([*said["counting"], *said["counting"].values()])
    assert all(name in shown for name in said["totals"])
    assert all(sentence.endswith(".") for sentence in said["counting"].values())


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("from=yesterday", "from"),
        ("from=2027-01-32", "from"),
        ("from=1700000000", "from"),
        ("to=2027-02-30T00:00:00Z", "to"),
        ("to=2027-01-01T00:00:00", "to"),
        ("to=2027-01-01T00:00:00+01:00", "to"),  # a + in an address is a space
        ("from=0001-01-01T00:00:00Z", "from"),
        ("from=2027-01-02T00:00:00Z&to=2027-01-02T00:00:00Z", "to"),
        ("from=2027-01-02T00:00:00Z&to=2027-01-01T00:00:00Z", "to"),
        ("from=2199-01-02T00:00:00Z", "from"),
        ("from=2025-12-31T00:00:00Z&to=2027-01-02T00:00:00Z", "from"),
        ("interval=minute", "interval"),
        ("group_by=user", "group_by"),
    ],
)
async def test_bad_ranges_name_the_field(product: Product, query: str, param: str) -> None:
    answered = await product.call("GET", f"/v1/analytics?{query}")
    assert_error(answered, 400, "invalid_value", param)


async def test_an_unknown_parameter(product: Product) -> None:
    assert_error(await product.call("GET", "/v1/analytics?by=x"), 400, "unknown_field", "by")


async def test_ranges_widen_to_whole_hours_in_any_zone(product: Product) -> None:
    query = "from=2027-01-14T10:30:00%2B02:00&to=2027-01-14t09:00:00.001z"
    said = (await product.call("GET", f"/v1/analytics?{query}")).json()
    assert (said["from"], said["to"]) == ("2027-01-14T08:00:00.000Z", "2027-01-14T10:00:00.000Z")


def contents(product: Product) -> list[list[Row]]:
    """All sums by hour; of the costs the digits that do not hang on the order of addition."""
    tables = [product.rows(f"SELECT * FROM {table}") for table in SUMMED]
    for row in tables[0]:
        row["cost_usd"] = round(row["cost_usd"], 12)
    return tables


async def rebuild(product: Product, start: int, stop: int) -> Row:
    body = {"from": rfc3339(start), "to": rfc3339(stop)}
    answered = await product.call("POST", "/v1/analytics/rebuild", body)
    assert answered.status == 200, answered.text
    said: Row = answered.json()
    return said


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM {}",
        "UPDATE {} SET {} = {} * 3",
    ],
)
async def test_a_rebuild_makes_the_same_sums(product: Product, damage: str) -> None:
    start = MIDNIGHT - 2 * DAY
    await write(product.database, random_rows(7, 300, start, NOW))
    await sum_finished_days(product.database, now_ms=NOW)
    before = contents(product)
    for table in SUMMED:
        column = "attempts" if table == "attempt_hours" else "answers"
        product.execute(damage.format(table, column, column) + f" WHERE hour >= {start + 3 * HOUR}")
    assert contents(product) != before
    said = await rebuild(product, start, NOW)
    assert (said["hours"], said["skipped"]) == ((NOW - start) // HOUR, [])
    assert contents(product) == before
    days = product.rows("SELECT current FROM summed_days")
    assert [day["current"] for day in days] == [0, 0, 0]  # summed again by the next cron
    entry = (await product.call("GET", "/v1/audit?resource=analytics")).json()["data"][0]
    assert (entry["action"], entry["after"]) == (
        "rebuild",
        {"from": rfc3339(start), "to": rfc3339(NOW)},
    )


async def test_deleting_old_logs_changes_no_sum_and_a_rebuild_keeps_it(product: Product) -> None:
    start = MIDNIGHT - DAY
    rows = random_rows(3, 200, start, MIDNIGHT)
    await write(product.database, rows)
    before = contents(product)
    kept_from = start + 10 * HOUR + HOUR // 2
    product.execute(f"DELETE FROM logs WHERE created_at < {kept_from}")
    assert contents(product) == before
    said = await rebuild(product, start, MIDNIGHT)
    assert contents(product) == before
    assert said["skipped"] == [
        rfc3339(hour)
        for hour in range(start, start + 11 * HOUR, HOUR)
        if any(hour <= r["created_at"] < min(hour + HOUR, kept_from) for r in rows)
    ]
    assert_analytics(await ask(product, start, MIDNIGHT), rows, HOUR)


async def test_a_rebuild_is_bounded(product: Product) -> None:
    body = {"from": rfc3339(NOW - 97 * HOUR), "to": rfc3339(NOW)}
    answered = await product.call("POST", "/v1/analytics/rebuild", body)
    assert_error(answered, 400, "invalid_value", "from")
    assert (await product.call("GET", "/v1/audit?resource=analytics")).json()["data"] == []
    answered = await product.call("POST", "/v1/analytics/rebuild", {"from": rfc3339(NOW)})
    assert_error(answered, 400, "missing_field", "to")


async def test_days_are_summed_when_they_are_over_and_once(product: Product) -> None:
    await write(product.database, random_rows(1, 400, MIDNIGHT - 20 * DAY, NOW))
    assert await sum_finished_days(product.database, now_ms=NOW) == 14
    assert await sum_finished_days(product.database, now_ms=NOW) == 6
    assert await sum_finished_days(product.database, now_ms=NOW) == 0
    assert await sum_finished_days(product.database, now_ms=MIDNIGHT + DAY) == 1


async def test_a_batch_of_statements_stays_small() -> None:
    assert len(sum_day(MIDNIGHT)) * 14 < 500  # a Worker may run 1,000 in an invocation


async def test_a_batch_that_fails_half_way_leaves_the_hour_as_it_was(product: Product) -> None:
    await write(product.database, random_rows(2, 20, NOW - HOUR, NOW))
    before = product.rows("SELECT * FROM usage_hours")
    product.execute("DROP TABLE attempt_hours")
    product.execute("CREATE TABLE attempt_hours (hour INTEGER)")
    hour = NOW - HOUR
    with pytest.raises(Exception, match="attempt_hours"):
        await rebuild_hour(product.database, hour)
    assert product.rows("SELECT * FROM usage_hours") == before


def label(product: Product, query_hash: str, agent_id: str | None, *, sampled: bool = True) -> None:
    agent = "NULL" if agent_id is None else f"'{agent_id}'"
    product.execute(
        "INSERT INTO current_labels (query_hash, query, agent_id, label_id, near_hash, split,"
        " labeler, created_at, sampled) VALUES"
        f" ('{query_hash}', 'q', {agent}, 'l{query_hash}', 'near {query_hash}', 'train', 'me', 0,"
        f" {int(sampled)})"
    )


async def test_labelled_accuracy(product: Product) -> None:
    label(product, "a", "hr")
    label(product, "b", "it_support")
    label(product, "c", None)
    label(product, "asked by nobody", "hr")
    answers: list[Row] = [
        {"query_hash": "a", "agent_id": "hr"},
        {"query_hash": "a", "agent_id": "hr", "layer": "cache", "cache": "hit", "attempts": []},
        {"query_hash": "b", "agent_id": "hr", "model": "n"},
        {"query_hash": "c", "agent_id": "general", "layer": "fallback", "reason": "out_of_scope"},
        {"query_hash": "c", "agent_id": "general", "layer": "fallback", "reason": "timeout"},
        {
            "query_hash": "a",
            "agent_id": None,
            "layer": "fallback",
            "reason": "quota",
            "status": 429,
        },
        {"query_hash": "not labelled"},
        {"query_hash": None},
        {"query_hash": "a", "agent_id": "it_support", "created_at": NOW - 2 * DAY},
    ]
    rows = [log_row(number, **fields) for number, fields in enumerate(answers)]
    await write(product.database, rows)
    said = await ask(product, NOW - DAY, NOW, group_by="layer")
    assert said["totals"]["accuracy"] == {
        "labelled": 3,
        "right": 1,
        "accuracy": 0.333333,
        "low": 0.061492,
        "high": 0.79234,
        "basis": "random questions",
        "other_labelled": 0,
        "other_right": 0,
        "next_step": "Label 97 random questions: GET /v1/labels/queue?stream=random",
    }
    by_layer = {group["key"]: group["accuracy"] for group in said["groups"]}
    shares = {key: (each["right"], each["labelled"]) for key, each in by_layer.items()}
    assert shares == {"llm": (1, 2), "cache": (1, 1), "fallback": (0, 1)}
    by_model = (await ask(product, NOW - DAY, NOW, group_by="model"))["groups"]
    assert {g["key"]: g["accuracy"]["accuracy"] for g in by_model} == {"m": 0.5, "n": 0.0}


async def test_labels_that_were_not_drawn_at_random_are_no_accuracy(product: Product) -> None:
    label(product, "a", "hr", sampled=False)
    label(product, "b", "it_support", sampled=False)
    rows = [log_row(n, query_hash="ab"[n], agent_id="hr") for n in range(2)]
    await write(product.database, rows)
    said = await ask(product, NOW - DAY, NOW, group_by="layer")
    for each in (said["totals"]["accuracy"], said["groups"][0]["accuracy"]):
        assert (each["labelled"], each["accuracy"]) == (0, None)
        assert (each["other_labelled"], each["other_right"]) == (2, 1)
        assert each["next_step"].startswith("Label 100 random questions")


async def test_a_question_that_is_asked_often_counts_once(product: Product) -> None:
    label(product, "a", "hr")
    label(product, "b", "it_support")
    product.execute("UPDATE current_labels SET near_hash = 'the same'")
    often = [log_row(number, query_hash="ab"[number % 2], agent_id="hr") for number in range(120)]
    await write(product.database, often)
    said = await ask(product, NOW - DAY, NOW, group_by="layer")
    for each in (said["totals"], *said["groups"]):
        assert (each["accuracy"]["labelled"], each["accuracy"]["right"]) == (1, 0)


async def test_confused_pairs(product: Product) -> None:
    """A question once, by its newest answer; those of the random stream apart from the others."""
    for name, agent in (("a", "hr"), ("b", "hr"), ("c", "hr"), ("d", None), ("e", "hr")):
        label(product, name, agent, sampled=name != "c")
    answers: list[Row] = [
        {"query_hash": "a", "agent_id": "hr"},
        {"query_hash": "a", "agent_id": "it_support"},  # the newest
        {"query_hash": "b", "agent_id": "it_support"},
        {"query_hash": "c", "agent_id": "it_support"},
        {"query_hash": "d", "agent_id": "hr"},
        {"query_hash": "e", "agent_id": "general", "layer": "fallback", "reason": "low_confidence"},
        {"query_hash": "not labelled", "agent_id": "it_support"},
    ]
    await write(product.database, [log_row(n, **fields) for n, fields in enumerate(answers)])
    said = (await product.call("GET", "/v1/analytics/confusions")).json()
    pairs = [tuple(pair.values()) for pair in said["pairs"]]
    assert pairs == [
        ("it_support", "hr", 2, 1, 3, 1),
        ("hr", None, 1, 0, 1, 0),
        (None, "hr", 1, 0, 3, 1),
    ]


async def test_latencies_by_layer(product: Product) -> None:
    rows = random_rows(5, 300, MIDNIGHT - DAY, NOW)
    rows[0]["latency_ms"], rows[1]["latency_ms"] = 0.01, 200_000
    await write(product.database, rows)
    query = f"from={rfc3339(MIDNIGHT - DAY)}&to={rfc3339(NOW)}"
    await sum_finished_days(product.database, now_ms=NOW)
    said = (await product.call("GET", f"/v1/analytics/latency?{query}")).json()
    assert sum(each["requests"] for each in said["layers"]) == len(rows)
    for layer in said["layers"]:
        mine = sorted(row["latency_ms"] for row in rows if row["layer"] == layer["layer"])
        assert layer["requests"] == len(mine)
        middle = mine[math.ceil(len(mine) / 2) - 1]
        assert layer["latency_ms"]["p50"] == pytest.approx(middle, rel=0.05)
        for part in layer["distribution"]:
            low, high = part["from_ms"], part["to_ms"] or math.inf
            assert part["requests"] == sum(low <= latency < high for latency in mine)
        assert sum(part["requests"] for part in layer["distribution"]) == len(mine)


async def test_five_minutes_agree_with_hours(product: Product) -> None:
    rows = random_rows(6, 400, NOW - 5 * HOUR, NOW)
    await write(product.database, rows)
    fine = await ask(product, NOW - 6 * HOUR, NOW, interval="5m")
    hours = await ask(product, NOW - 6 * HOUR, NOW, interval="hour")
    assert len(fine["series"]) == 72
    assert fine["totals"] == hours["totals"]
    for number, hour in enumerate(hours["series"]):
        within = fine["series"][12 * number : 12 * number + 12]
        for name in ("requests", "errors", "fallback_answers", "cache_hits", "total_tokens"):
            assert sum(each[name] for each in within) == hour[name]
    for period in fine["series"]:
        start = unix_ms(period["start"])
        mine = [row for row in rows if start <= row["created_at"] < start + SLOT]
        assert_metrics(period, mine)
        assert period["layers"] == Counter(row["layer"] for row in mine)
    for start, stop in ((NOW - 25 * HOUR, NOW), (NOW - 4 * DAY, NOW - 4 * DAY + HOUR)):
        query = f"interval=5m&from={rfc3339(start)}&to={rfc3339(stop)}"
        refused = await product.call("GET", f"/v1/analytics?{query}")
        assert_error(refused, 400, "invalid_value", param="interval")
    await purge_slots(product.database, now_ms=NOW + SLOTS_KEPT)
    assert not product.rows("SELECT 1 FROM usage_slots UNION ALL SELECT 1 FROM latency_slots")


async def test_accuracy_starts_from_the_labels(product: Product) -> None:
    product.database.statements.clear()
    await ask(product, NOW - DAY, NOW)
    statements = list(product.database.statements)
    [labelled] = [s for s in statements if "current_labels" in s.sql]
    plan = await product.database.run(
        statement(f"EXPLAIN QUERY PLAN {labelled.sql}", *labelled.parameters)
    )
    steps = [row["detail"] for row in plan]
    steps = steps[steps.index("MATERIALIZE answers") + 1 :]
    assert steps[0].startswith("SCAN current_labels")
    assert steps[1].startswith("SEARCH logs USING COVERING INDEX logs_query_hash (query_hash=?")
    others = [s for s in statements if s is not labelled]
    [looked] = [s.sql for s in others if "logs" in s.sql]
    assert looked == "SELECT 1 FROM summed_logs WHERE seq + ?1 <= (SELECT max(seq) FROM logs)"


@pytest.mark.parametrize(
    ("right", "labelled", "low", "high"),
    # From Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_intervals(right: int, labelled: int, low: float, high: float) -> None:
    said = accuracy_of(right, labelled)
    assert (said.low, said.high) == pytest.approx((low, high), abs=5e-5)


async def test_a_bucket_stands_for_every_latency_in_it_within_5_percent(
    database: SqliteDatabase,
) -> None:
    latencies = [0.07 * 1.0031**n for n in range(4_600)]
    powers = [2.0**power for power in range(-4, 17)]
    latencies += powers + [math.nextafter(p, 0) for p in powers[1:]] + [131_071.9]
    await write(database, [log_row(n, latency_ms=ms) for n, ms in enumerate(latencies[::10])])
    found = await database.run(
        statement("SELECT bucket, answers FROM latency_hours ORDER BY bucket")
    )
    assert sum(row["answers"] for row in found) == len(latencies[::10])
    bucket_of = bucket_in_sql(database)
    for ms in latencies:
        assert bucket_ms(await bucket_of(ms)) == pytest.approx(ms, rel=0.05), ms
    buckets = [await bucket_of(ms) for ms in sorted(latencies)]
    assert buckets == sorted(buckets)


async def test_latencies_beyond_the_histogram(database: SqliteDatabase) -> None:
    await write(
        database, [log_row(n, latency_ms=ms) for n, ms in enumerate((0.0, 0.06, 131_072.0, 1e9))]
    )
    rows = await database.run(statement("SELECT bucket, answers FROM latency_hours"))
    assert {row["bucket"]: row["answers"] for row in rows} == {0: 2, LAST_BUCKET: 2}
    assert (bucket_ms(0), bucket_ms(LAST_BUCKET)) == (0.0, 131_072.0)


def bucket_in_sql(database: SqliteDatabase) -> Callable[[float], Any]:
    async def bucket_of(latency_ms: float) -> int:
        sql = f"SELECT {BUCKET} AS bucket FROM (SELECT ?1 AS latency_ms)"
        return int((await database.run(statement(sql, latency_ms)))[0]["bucket"])

    return bucket_of


@pytest.mark.parametrize("summed", [False, True])
async def test_a_key_shows_its_cost_of_the_month_and_its_last_hour(
    product: Product, summed: bool
) -> None:
    """The clock is at 2027-01-15T08:00:00Z."""
    names = ("now", "older", "december", "unused")
    body = {"name": "k", "scopes": ["route"]}
    keys = {name: (await product.call("POST", "/v1/keys", body)).json()["id"] for name in names}
    month = unix_ms("2027-01-01T00:00:00Z")
    rows = [
        log_row(1, key_id=keys["now"], created_at=NOW - 5, cost_usd=0.25),
        log_row(2, key_id=keys["now"], created_at=month, cost_usd=0.5),
        log_row(3, key_id=keys["now"], created_at=month - 1, cost_usd=8.0),
        log_row(4, key_id=keys["older"], created_at=NOW - 5 * DAY, cost_usd=None),
        log_row(5, key_id=keys["december"], created_at=NOW - 40 * DAY, cost_usd=1.0),
    ]
    await write(product.database, rows)
    if summed:
        await sum_finished_days(product.database, now_ms=NOW)
    page = (await product.call("GET", "/v1/keys")).json()["data"]
    shown = {each["id"]: (each["cost_usd"], each["last_used_at"]) for each in page}
    assert shown[keys["now"]] == (0.75, "2027-01-15T07:00:00.000Z")
    hour = "00" if summed else "08"
    assert shown[keys["older"]] == (0, f"2027-01-10T{hour}:00:00.000Z")
    assert shown[keys["december"]] == shown[keys["unused"]] == (0, None)
