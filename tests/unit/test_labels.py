"""Labels: set, changed, taken away, in bulk; the history stays, and people may disagree."""

from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.domain.label import LabelEvent
from edgeneuro.domain.query import query_hash
from edgeneuro.store.labels import record_labels
from tests.unit.conftest import Product, says


async def ask(product: Product, query: str) -> str:
    product.gateway.enqueue(says("hr"))
    log_id: str = (await product.route(query, cache=False)).json()["id"]
    return log_id


async def labels(product: Product, query: str = "") -> list[dict[str, Any]]:
    answered = await product.call("GET", f"/v1/labels?limit=100{query}")
    assert answered.status == 200, answered.text
    data: list[dict[str, Any]] = answered.json()["data"]
    return data


async def audit(product: Product) -> list[dict[str, Any]]:
    page = (await product.call("GET", "/v1/audit?resource=label&limit=100")).json()
    data: list[dict[str, Any]] = page["data"]
    return data


def error(answered: Any) -> tuple[int, str, str | None]:
    body = answered.json()["error"]
    return answered.status, body["code"], body["param"]


async def test_a_label_is_set_changed_and_taken_away_and_the_history_stays(
    product: Product,
) -> None:
    log_id = await ask(product, "How many days of leave?")
    path = f"/v1/logs/{log_id}/label"
    first = await product.call("PUT", path, {"agent_id": "hr", "note": " sure "})
    assert first.status == 200
    label = first.json()
    assert label == {
        "object": "label",
        "id": label["id"],
        "query_hash": query_hash("How many days of leave?"),
        "query": "How many days of leave?",
        "context": None,
        "agent_id": "hr",
        "split": "train",
        "labeler": "admin_token",
        "source": "hand",
        "log_id": log_id,
        "note": "sure",
        "stream": None,
        "final": False,
        "conflict": False,
        "votes": [
            {
                "labeler": "admin_token",
                "agent_id": "hr",
                "final": False,
                "created_at": "2027-01-15T08:00:00.000Z",
            }
        ],
        "import_id": None,
        "origin": None,
        "created_at": "2027-01-15T08:00:00.000Z",
    }
    assert await labels(product) == [label]
    product.clock.seconds += 1
    second = (await product.call("PUT", path, {"agent_id": None})).json()
    assert await labels(product) == [second]
    gone = await product.call("DELETE", path)
    assert gone.json()["query_hash"] == label["query_hash"]
    assert await labels(product) == [gone.json()["label"]] == [label]
    assert (await product.call("DELETE", path)).json()["label"] is None
    assert await labels(product) == []
    history = (await product.call("GET", f"/v1/labels/{label['query_hash']}/history")).json()
    assert [(one["agent_id"], one["removed"], one["withdrawn"]) for one in history["data"]] == [
        (None, True, False),
        (None, True, False),
        (None, False, True),
        ("hr", False, True),
    ]
    assert error(await product.call("DELETE", path)) == (404, "not_labelled", "log_id")


async def test_each_change_has_its_audit_row_without_any_text(product: Product) -> None:
    log_id = await ask(product, "My secret question")
    path = f"/v1/logs/{log_id}/label"
    await product.call("PUT", path, {"agent_id": "hr", "note": "secret note"})
    await product.call("PUT", path, {"agent_id": "general"})
    await product.call("DELETE", path)
    await product.call("POST", "/v1/labels", [{"query": "secret", "agent_id": "hr"}])
    entries = await audit(product)
    assert [entry["action"] for entry in entries] == ["label_bulk", "unlabel", "label", "label"]
    bulk, unlabel, second, first = entries
    assert bulk["after"] == {"object": "label.batch", "labels": 1, "questions": 1}
    assert (unlabel["before"]["agent_id"], unlabel["after"]) == ("general", None)
    assert (second["before"]["agent_id"], second["after"]["agent_id"]) == ("hr", "general")
    assert (first["before"], first["resource_id"]) == (None, query_hash("My secret question"))
    assert "secret" not in str(entries)


async def test_a_disabled_agent_may_be_the_right_one(product: Product) -> None:
    await product.call("PATCH", "/v1/agents/hr", {"enabled": False})
    product.gateway.enqueue(says("general"))
    log_id = (await product.route("Leave?")).json()["id"]
    assert (await product.call("PUT", f"/v1/logs/{log_id}/label", {"agent_id": "hr"})).status == 200


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"agent_id": "ceo"}, 400, "unknown_agent", "agent_id"),
        ({"agent_id": "none"}, 400, "invalid_value", "agent_id"),
        ({"agent_id": 7}, 400, "invalid_value", "agent_id"),
        ({}, 400, "missing_field", "agent_id"),
        ({"agent_id": "hr", "note": "a\0b"}, 400, "invalid_value", "note"),
        ({"agent_id": "hr", "note": "a" * 1_001}, 400, "invalid_value", "note"),
        ({"agent_id": "hr", "labeler": "me"}, 400, "unknown_field", "labeler"),
    ],
)
async def test_bad_labels(
    product: Product, body: dict[str, Any], status: int, code: str, param: str
) -> None:
    log_id = await ask(product, "Leave?")
    answered = await product.call("PUT", f"/v1/logs/{log_id}/label", body)
    assert error(answered) == (status, code, param)
    assert await labels(product) == []
    assert await audit(product) == []


async def test_an_unknown_log_row(product: Product) -> None:
    for method, body in (("PUT", {"agent_id": "hr"}), ("DELETE", None)):
        answered = await product.call(method, "/v1/logs/dec_none/label", body)
        assert error(answered) == (404, "unknown_log", "log_id")


async def test_a_row_without_text_cannot_be_labelled(product: Product) -> None:
    product.execute("INSERT INTO config VALUES ('log_queries', 'false', 0)")
    product.clock.seconds += 6
    log_id = await ask(product, "Leave?")
    path = f"/v1/logs/{log_id}/label"
    answered = await product.call("PUT", path, {"agent_id": "hr"})
    assert error(answered) == (409, "no_text", "log_id")
    assert error(await product.call("DELETE", path)) == (404, "not_labelled", "log_id")
    bulk = await product.call("POST", "/v1/labels", [{"log_id": log_id, "agent_id": "hr"}])
    assert error(bulk) == (400, "no_text", "[0].log_id")


async def test_a_thousand_in_one_go(product: Product) -> None:
    log_id = await ask(product, "From a log row")
    items: list[dict[str, Any]] = [
        {"query": f"Question {n}, {'x' * 900}", "agent_id": "hr"} for n in range(998)
    ]
    items += [
        {"log_id": log_id, "agent_id": "it_support", "note": "seen"},
        {"query": " from a LOG row ", "agent_id": None},
    ]
    answered = await product.call("POST", "/v1/labels", items)
    assert answered.json() == {"object": "label.batch", "labels": 1_000, "questions": 999}
    assert product.rows("SELECT count(*) AS n FROM current_labels")[0]["n"] == 999
    assert product.rows("SELECT count(*) AS n FROM labels")[0]["n"] == 1_000
    assert [entry["action"] for entry in await audit(product)] == ["label_bulk"]
    history = (
        await product.call("GET", f"/v1/labels/{query_hash('From a log row')}/history?limit=1")
    ).json()
    assert (history["data"][0]["agent_id"], history["has_more"]) == (None, True)
    assert history["data"][0]["source"] == "bulk"
    rest = await product.call(
        "GET", f"/v1/labels/{query_hash('From a log row')}/history?after={history['last_id']}"
    )
    assert [(one["agent_id"], one["log_id"]) for one in rest.json()["data"]] == [
        ("it_support", log_id)
    ]


async def test_a_bulk_with_wrong_items_lists_them_all_and_writes_nothing(product: Product) -> None:
    items = [
        {"query": "fine", "agent_id": "hr"},
        {"query": "who?", "agent_id": "ceo"},
        {"log_id": "dec_none", "agent_id": "hr"},
    ]
    answered = await product.call("POST", "/v1/labels", items)
    assert error(answered) == (400, "unknown_agent", "[1].agent_id")
    body = answered.json()
    assert [(one["index"], one["param"], one["code"]) for one in body["errors"]] == [
        (1, "[1].agent_id", "unknown_agent"),
        (2, "[2].log_id", "unknown_log"),
    ]
    assert "2 items are wrong" in body["error"]["message"]
    assert all(one["message"] for one in body["errors"])
    assert (await labels(product), await audit(product)) == ([], [])


@pytest.mark.parametrize(
    ("items", "faults"),
    [
        ([{"query": "a", "agent_id": 7}, {"agent_id": "hr"}], ["[0].agent_id", "[1]"]),
        ([{"query": "a", "log_id": "b", "agent_id": "hr"}], ["[0]"]),
        ([{"query": " ", "agent_id": "hr", "x": 1}], ["[0].query", "[0].x"]),
        ([{"query": "a\0", "agent_id": "hr"}], ["[0].query"]),
        (["hr", None], ["[0]", "[1]"]),
    ],
)
async def test_a_bulk_with_malformed_items(
    product: Product, items: list[Any], faults: list[str]
) -> None:
    answered = await product.call("POST", "/v1/labels", items)
    assert answered.status == 400
    body = answered.json()
    assert [one["param"] for one in body["errors"]] == faults
    assert body["error"]["param"] == faults[0]
    assert await labels(product) == []


async def test_a_bulk_lists_the_faults_of_all_items_whatever_they_are(product: Product) -> None:
    """Those of the form, and those that only the database knows."""
    items = [
        {"query": "fine", "agent_id": "hr"},
        {"query": "who?", "agent_id": "ceo"},
        {"query": "what?", "agent_id": "Human Resources"},
        {"agent_id": "hr"},
        {"log_id": "dec_none", "agent_id": "hr"},
    ]
    body = (await product.call("POST", "/v1/labels", items)).json()
    assert [(one["index"], one["param"], one["code"]) for one in body["errors"]] == [
        (1, "[1].agent_id", "unknown_agent"),
        (2, "[2].agent_id", "invalid_value"),
        (3, "[3]", "invalid_value"),
        (4, "[4].log_id", "unknown_log"),
    ]
    assert body["error"]["param"] == "[1].agent_id"
    assert "4 items are wrong" in body["error"]["message"]
    assert await labels(product) == []


async def test_a_bulk_of_a_thousand_faulty_items_lists_a_thousand(product: Product) -> None:
    items = [{"query": "a", "agent_id": "X", "x": 1}] * 999 + [{"query": "a", "agent_id": "hr"}]
    answered = await product.call("POST", "/v1/labels", items)
    assert (answered.status, len(answered.json()["errors"])) == (400, 1_000)


@pytest.mark.parametrize("body", [[], {"labels": []}, [{"query": "a", "agent_id": "hr"}] * 1_001])
async def test_a_bulk_that_is_no_list_of_1_to_1000(product: Product, body: Any) -> None:
    answered = await product.call("POST", "/v1/labels", body)
    assert error(answered) == (400, "invalid_value", None)
    assert "errors" not in answered.json()


async def test_a_bulk_over_1_mb(product: Product) -> None:
    answered = await product.call("POST", "/v1/labels", b" " * (1024 * 1024 + 1))
    assert error(answered) == (413, "body_too_large", None)


async def test_a_failed_write_leaves_nothing_half_done(product: Product) -> None:
    product.execute("DROP TABLE audit")
    answered = await product.call("POST", "/v1/labels", [{"query": "a", "agent_id": "hr"}])
    assert answered.status == 503
    assert product.rows("SELECT * FROM labels") == []
    assert product.rows("SELECT * FROM current_labels") == []


async def test_the_list_filters_and_pages(product: Product) -> None:
    queries = [f"Question number {n}" for n in range(30)]
    items = [
        {"query": query, "agent_id": ("hr", "it_support", None)[n % 3]}
        for n, query in enumerate(queries)
    ]
    await product.call("POST", "/v1/labels", items)

    async def queried(filters: str) -> list[str]:
        return [one["query"] for one in await labels(product, filters)]

    assert await queried("") == queries[::-1]
    assert await queried("&agent=hr") == queries[::3][::-1]
    assert await queried("&agent=none") == queries[2::3][::-1]
    assert await queried("&labeler=admin_token") == queries[::-1]
    assert await queried("&labeler=nobody") == []
    assert await queried("&q=NUMBER%2012") == queries[12:13]
    held = await queried("&split=test")
    assert sorted(queries.index(query) % 3 for query in held) == [0, 1, 2], "one of each agent"
    assert held == sorted(held, key=queries.index, reverse=True)
    page = (await product.call("GET", "/v1/labels?limit=4&agent=hr")).json()
    rest = (await product.call("GET", f"/v1/labels?agent=hr&after={page['last_id']}")).json()
    seen = [one["query"] for one in page["data"] + rest["data"]]
    assert (seen, page["has_more"], rest["has_more"]) == (queries[::3][::-1], True, False)


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/v1/labels?split=dev", "split"),
        ("/v1/labels?agent=", "agent"),
        ("/v1/labels?colour=red", "colour"),
        ("/v1/labels/abc/history?limit=0", "limit"),
        ("/v1/labels/queue?limit=101", "limit"),
        ("/v1/labels/queue?after=x", "after"),
    ],
)
async def test_bad_queries(product: Product, path: str, param: str) -> None:
    answered = await product.call("GET", path)
    assert (answered.status, answered.json()["error"]["param"]) == (400, param)


async def test_the_history_of_a_question_that_has_none(product: Product) -> None:
    answered = await product.call("GET", f"/v1/labels/{'0' * 32}/history")
    assert error(answered) == (404, "unknown_question", "query_hash")


async def test_texts_of_the_longest_kind_go_in_several_statements(product: Product) -> None:
    events = [
        LabelEvent(
            id=f"lab_{n:05}",
            query=f"{n:05}" + "\x01" * 7_995,
            agent_id="hr",
            labeler="me",
            source="bulk",
            created_ms=0,
        )
        for n in range(100)
    ]
    statements = record_labels(events)
    bound = [len(str(value).encode()) for one in statements for value in one.parameters]
    assert max(bound) < 2_000_000
    await product.database.batch(statements)
    assert product.rows("SELECT count(*) AS n FROM current_labels")[0]["n"] == 100


async def say(product: Product, labeler: str, answers: dict[str, str | None]) -> None:
    """Labels in the name of another, as another key would give them."""
    base = LabelEvent(id="", query="", agent_id=None, labeler=labeler, source="hand", created_ms=0)
    events = [
        replace(base, id=product.services.new_id("lab"), query=query, agent_id=agent)
        for query, agent in answers.items()
    ]
    await product.database.batch(record_labels(events))


async def stats(product: Product) -> Any:
    return (await product.call("GET", "/v1/labels/stats")).json()


async def test_stats_of_nothing(product: Product) -> None:
    assert await stats(product) == {
        "object": "label.stats",
        "labels": 0,
        "random": 0,
        "conflicts": 0,
        "agents": [],
        "labelers": [],
        "splits": {"train": 0, "validation": 0, "test": 0},
        "agreement": {"pairs": 0, "agreeing": 0, "share": None, "kappa": None},
    }


async def test_stats_count_and_measure_agreement(product: Product) -> None:
    # Cohen's own kind of table: both yes 20, one alone 5, the other alone 10, both no 15.
    one = {f"q{n}": "hr" if n < 25 else None for n in range(50)}
    other = {f"q{n}": "hr" if n < 20 or n >= 40 else None for n in range(50)}
    await say(product, "ann", one | {"only ann": "it_support"})
    await say(product, "bob", other)
    found = await stats(product)
    assert found["labels"] == 51
    assert sum(found["splits"].values()) == 51
    assert found["agents"] == [
        {"agent_id": "hr", "labels": 30, "history": 55},
        {"agent_id": "it_support", "labels": 1, "history": 1},
        {"agent_id": None, "labels": 20, "history": 45},
    ]
    assert found["labelers"] == [
        {"labeler": "ann", "labels": 1, "history": 51},
        {"labeler": "bob", "labels": 50, "history": 50},
    ]
    assert found["agreement"] == {"pairs": 50, "agreeing": 35, "share": 0.7, "kappa": 0.4}


async def test_agreement_goes_by_each_ones_last_word(product: Product) -> None:
    await say(product, "ann", {"q": "hr"})
    await say(product, "bob", {"q": "it_support"})
    await say(product, "ann", {"q": "it_support"})
    found = (await stats(product))["agreement"]
    assert found == {"pairs": 1, "agreeing": 1, "share": 1.0, "kappa": None}
    removal = LabelEvent(
        id=product.services.new_id("lab"),
        query="q",
        agent_id=None,
        labeler="bob",
        source="hand",
        created_ms=0,
        removed=True,
    )
    await product.database.batch(record_labels([removal]))
    assert (await stats(product))["agreement"]["pairs"] == 0
