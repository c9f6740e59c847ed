"""The classifier's part of GET /v1/analytics: its shares by day, where the model differs, and the
alert where the questions are no longer those that it was learned for."""

from typing import Any

import pytest

from edgeneuro.store.usage import DAY, HOUR, sum_finished_days
from tests.unit.classifiers import (
    AGENTS,
    UNKNOWN,
    create_agents,
    install,
    known,
    load,
    select,
)
from tests.unit.conftest import Product, says

NOW = 1_800_000_000_000
TODAY = NOW - NOW % DAY


@pytest.fixture
async def product(empty_product: Product) -> Product:
    """The selected classifier answered 90 % of its held-out labels, and of its labels 10 % had no
    agent: at the training it passed on 19 %."""
    empty_product.gateway.enqueue(*[says("agent_0")] * 3)
    await create_agents(empty_product)
    install(empty_product, "clf_1")
    await select(empty_product, "clf_1")
    empty_product.clock.seconds += 60  # analytics end with the current hour, which has begun
    return empty_product


async def shown(product: Product, query: str = "") -> dict[str, Any]:
    answered = await product.call("GET", f"/v1/analytics{query}")
    assert answered.status == 200, answered.text
    block: dict[str, Any] = answered.json()["classifier"]
    return block


def used(
    product: Product,
    hour: int,
    *,
    answered: int,
    passed_on: int,
    out_of_scope: int = 0,
    classifier: str = "clf_1",
) -> None:
    """So many answers in this hour's sums; those out of scope are among those passed on. Each agent
    has a third of the others, as among the labels."""
    decided = answered + passed_on - out_of_scope
    thirds = [decided // 3, decided // 3, decided - 2 * (decided // 3)]
    asked(
        product,
        hour,
        dict(zip(AGENTS, thirds, strict=True)) | {"": out_of_scope},
        answered=answered,
        out_of_scope=out_of_scope,
        classifier=classifier,
    )
    llm = passed_on - out_of_scope
    for layer, reason, count in (
        ("classifier", "", answered),
        ("llm", "", llm),
        ("fallback", "out_of_scope", out_of_scope),
    ):
        product.execute(
            "INSERT INTO usage_hours (hour, agent_id, layer, reason, model, adapter, key_id, cache,"
            " status, answers, attempts, failed_attempts, without_model, prompt_tokens,"
            " completion_tokens, cost_usd, unpriced_answers, classifier_asked) VALUES"
            f" ({hour}, 'a', '{layer}', '{reason}', '', '', 'k', 'miss', 200, {count}, 0, 0, 0, 0,"
            f" 0, 0, 0, {count})"
        )


def asked(
    product: Product,
    hour: int,
    agents: dict[str, int],
    *,
    answered: int | None = None,
    out_of_scope: int = 0,
    classifier: str = "clf_1",
) -> None:
    """So many questions by the agent that was decided for, of which the classifier answered all, or
    `answered`."""
    left = sum(agents.values()) if answered is None else answered
    for agent, count in agents.items():
        own, left = min(count, left), max(0, left - count)
        outside = out_of_scope if agent == "" else 0
        product.execute(
            "INSERT INTO classifier_hours VALUES"
            f" ({hour}, '{classifier}', '{agent}', {count}, {own}, {outside})"
        )


def window(block: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [each for each in block["drift"]["windows"] if each["window"] == name]
    shown: dict[str, Any] = found
    return shown


def alerts(block: dict[str, Any]) -> list[tuple[str, str]]:
    return [(alert["window"], alert["figure"]) for alert in block["drift"]["alerts"]]


async def test_it_counts_what_was_asked_answered_and_passed_on(product: Product) -> None:
    await load(product)  # which no classifier was asked
    await product.route(known("agent_1"))
    await product.route(known("agent_2"))
    await product.route(UNKNOWN)
    await product.route(UNKNOWN)  # still in the isolate: not asked
    block = await shown(product)
    counts = {name: block[name] for name in ("requests", "asked", "answered", "abstained")}
    assert counts == {"requests": 5, "asked": 3, "answered": 2, "abstained": 1}
    assert block["answered_share"] == pytest.approx(2 / 3, abs=1e-6)
    assert (window(block, "1h")["asked"], block["alert"]) == (3, None)
    assert product.rows(
        "SELECT classifier, agent_id, asked, answered FROM classifier_hours ORDER BY agent_id"
    ) == [
        {"classifier": "clf_1", "agent_id": "agent_0", "asked": 1, "answered": 0},
        {"classifier": "clf_1", "agent_id": "agent_1", "asked": 1, "answered": 1},
        {"classifier": "clf_1", "agent_id": "agent_2", "asked": 1, "answered": 1},
    ]


async def test_a_rebuild_counts_the_same(product: Product) -> None:
    await load(product)
    await product.route(known("agent_1"))
    before = await shown(product)
    body = {"from": "2027-01-15T08:00:00Z", "to": "2027-01-15T09:00:00Z"}
    assert (await product.call("POST", "/v1/analytics/rebuild", body)).status == 200
    assert await shown(product) == before
    assert before["answered"] == 1


@pytest.mark.parametrize("interval", ["hour", "day"])
@pytest.mark.parametrize("summed", [False, True])
async def test_the_shares_are_by_day(product: Product, interval: str, summed: bool) -> None:
    used(product, TODAY - 2 * DAY + HOUR, answered=30, passed_on=10, out_of_scope=4)
    used(product, TODAY - 2 * DAY + 9 * HOUR, answered=30, passed_on=30, out_of_scope=6)
    used(product, TODAY, answered=1, passed_on=0)
    if summed:
        assert await sum_finished_days(product.database, now_ms=NOW) == 1
    block = await shown(product, f"?from=2027-01-13T00:00:00Z&interval={interval}")
    days = [(day["start"][:10], day["asked"], day["answered_share"]) for day in block["days"]]
    assert days == [("2027-01-13", 100, 0.6), ("2027-01-14", 0, None), ("2027-01-15", 1, 1.0)]
    assert [day["out_of_scope_share"] for day in block["days"]] == [0.1, None, 0.0]
    assert (block["asked"], block["answered"], block["out_of_scope"]) == (101, 61, 10)


async def test_what_it_was_like_at_the_training_stands_beside(product: Product) -> None:
    drift = (await shown(product))["drift"]
    assert drift["classifier"] == "clf_1"
    assert drift["training_out_of_scope_share"] == 0.1
    assert drift["training_abstained_share"] == pytest.approx(0.19)
    assert [each["window"] for each in drift["windows"]] == ["1h", "24h", "7d"]
    assert {each["abstained_share"] for each in drift["windows"]} == {None}
    assert drift["alerts"] == []


@pytest.mark.parametrize(
    ("answered", "passed_on", "alerts"),
    [
        (45, 20, False),  # 31 % of 65: more by more than 5 points, but within 4 standard errors
        (25, 40, True),  # 62 %
        (19, 30, False),  # 61 % of fewer than 50
        (7_700, 2_300, False),  # 23 %: no chance, but within 5 points
        (10_000, 500, False),  # 5 %: it passes on less than it did
    ],
)
async def test_it_alerts_where_more_is_passed_on_than_chance_explains(
    product: Product, answered: int, passed_on: int, alerts: bool
) -> None:
    used(product, NOW - NOW % HOUR, answered=answered, passed_on=passed_on)
    alert = (await shown(product))["alert"]
    assert (alert is not None) == alerts
    if alerts:
        assert alert == (
            "In the last hour the classifier passed 61.5% of 65 questions on to the model, at its"
            " training 19.0%. Label recent questions and train another one."
        )


async def test_a_bad_hour_is_seen_within_it_whatever_was_before(product: Product) -> None:
    """Over all that was asked since the training, 60 bad questions are 2 %."""
    used(product, TODAY - 3 * DAY, answered=2_400, passed_on=560)
    used(product, NOW - NOW % HOUR, answered=0, passed_on=60)
    block = await shown(product)
    assert alerts(block) == [("1h", "abstained"), ("24h", "abstained")]
    assert [each["asked"] for each in block["drift"]["windows"]] == [60, 60, 3_020]


@pytest.mark.parametrize("interval", ["hour", "day"])
async def test_the_day_of_the_training_is_seen(product: Product, interval: str) -> None:
    product.execute(f"UPDATE jobs SET ended_at = {NOW - HOUR}")
    used(product, NOW - NOW % HOUR, answered=0, passed_on=60)
    block = await shown(product, f"?interval={interval}")
    assert (window(block, "1h")["asked"], window(block, "1h")["abstained_share"]) == (60, 1)
    assert ("1h", "abstained") in alerts(block)


async def test_a_window_ends_with_the_hours_before_it(product: Product) -> None:
    hour = NOW - NOW % HOUR
    for back in (0, 1, 2, 24, 25, 168, 169):
        asked(product, hour - back * HOUR, {"agent_0": 10})
    found = (await shown(product))["drift"]["windows"]
    assert [each["asked"] for each in found] == [20, 40, 60]
    assert [each["agents"]["compared"] for each in found] == [180] * 3  # labels of agents
    past = await shown(product, "?from=2027-01-14T00:00:00Z&to=2027-01-14T08:00:00Z")
    assert [each["asked"] for each in past["drift"]["windows"]] == [10, 10, 30]


async def test_it_alerts_where_more_questions_have_no_agent(product: Product) -> None:
    hour = NOW - NOW % HOUR
    used(product, hour, answered=340, passed_on=60, out_of_scope=45)
    assert (await shown(product))["alert"] is None
    used(product, hour - HOUR, answered=10, passed_on=90, out_of_scope=90)
    block = await shown(product)
    assert ("1h", "out_of_scope") in alerts(block)
    [alert] = [
        each["text"]
        for each in block["drift"]["alerts"]
        if (each["window"], each["figure"]) == ("1h", "out_of_scope")
    ]
    assert "500 questions of which 27.0% fit no agent, at its training 10.0%" in alert


async def test_what_another_classifier_passed_on_is_not_booked_to_it(product: Product) -> None:
    used(product, NOW - NOW % HOUR, answered=100, passed_on=900, classifier="clf_0")
    block = await shown(product)
    assert (block["alert"], window(block, "1h")["asked"], block["asked"]) == (None, 0, 1_000)


async def test_traffic_of_one_agent_alone_is_seen(product: Product) -> None:
    """Each of these questions is answered rightly; it is their mix that is new."""
    hour = NOW - NOW % HOUR
    asked(product, hour, {"agent_2": 60})
    block = await shown(product)
    # While there is no traffic before, its labels are what it was trained for: 60 of each agent.
    assert alerts(block) == [("1h", "agents"), ("24h", "agents"), ("7d", "agents")]
    found = window(block, "1h")["agents"]
    assert (found["compared_with"], found["compared"]) == ("training_labels", 180)
    assert (found["agent_id"], found["now"], found["before"]) == ("agent_2", 1, 0.333333)
    assert "agent_2 has 100.0% of them, among its labels 33.3%" in block["alert"]
    # Traffic that was like that before is no change.
    for day in range(1, 8):
        asked(product, hour - day * DAY - 3 * HOUR, {"agent_2": 200, "agent_0": 4})
    block = await shown(product)
    assert window(block, "1h")["agents"]["compared_with"] == "previous"
    assert [one for one in alerts(block) if one[0] != "7d"] == []


async def test_few_questions_of_many_agents_differ_by_chance(product: Product) -> None:
    hour = NOW - NOW % HOUR
    many = {f"agent_{number}": 4 for number in range(100)}
    asked(product, hour - 3 * DAY, many)
    # Half of them, each once or twice: no agent has what it had, and that is as chance has it.
    asked(product, hour, {f"agent_{number}": 1 + number % 2 for number in range(0, 100, 2)})
    block = await shown(product)
    assert window(block, "1h")["agents"]["psi"] is not None
    assert ("1h", "agents") not in alerts(block)


async def test_without_a_classifier_there_is_no_drift(product: Product) -> None:
    await select(product, None)
    block = await shown(product)
    assert (block["drift"], block["alert"], block["asked"]) == (None, None, 0)


def audited(product: Product, count: int, *, differing: int, model: str = "clf_1") -> None:
    """So many answers of this classifier were put to the model too, this minute."""
    columns = [row["name"] for row in product.rows("SELECT name FROM pragma_table_info('logs')")]
    others = ", ".join(name for name in columns if name not in ("seq", "id", "model"))
    for number in range(count):
        log_id = f"dec_{model}_{number}"
        product.execute(
            f"INSERT INTO logs (id, model, {others}) SELECT '{log_id}', '{model}', {others}"
            " FROM logs ORDER BY seq LIMIT 1"
        )
        product.execute(
            "INSERT INTO audit_samples VALUES"
            f" ('{log_id}', {NOW}, 'llm', 'a', 1, {int(number >= differing)})"
        )


async def test_it_alerts_where_the_model_differs_often(product: Product) -> None:
    await load(product)
    audited(product, 40, differing=6)
    block = await shown(product)
    found = window(block, "1h")["disagreement"]
    assert (found["compared"], found["differing"], found["rate"]) == (40, 6, 0.15)
    assert found["low"] == pytest.approx(0.0706, abs=1e-4)  # it may be less than one of ten
    assert block["alert"] is None
    audited(product, 40, differing=40, model="clf_0")  # another classifier's answers
    assert (await shown(product))["alert"] is None
    product.execute("UPDATE audit_samples SET agrees = 0 WHERE log_id LIKE 'dec_clf_1_1%'")
    block = await shown(product)
    assert alerts(block) == [(name, "disagreement") for name in ("1h", "24h", "7d")]
    assert "differed from 40.0% of them (at least 26.3%)" in block["alert"]


async def test_disagreement_is_that_of_the_sampled_answers_alone(product: Product) -> None:
    for number in range(50):
        layer = "llm" if number < 40 else "classifier"
        agrees = int(number >= 4 and number < 40)
        product.execute(
            f"INSERT INTO audit_samples VALUES ('dec_{number}', {NOW}, '{layer}', 'a', 1, {agrees})"
        )
    found = (await shown(product))["disagreement"]
    assert (found["compared"], found["differing"], found["rate"]) == (40, 4, 0.1)
    assert 0.03 < found["low"] < 0.1 < found["high"] < 0.24
    [row] = product.rows(
        "EXPLAIN QUERY PLAN SELECT count(*) FROM audit_samples"
        " WHERE created_at >= 1 AND created_at < 2 AND layer = 'llm'"
    )
    assert "USING INDEX audit_samples_created_at" in row["detail"]
