"""Logs: found by every fact and by words, one record in full, and what the settings keep out."""

import math
from typing import Any
from urllib.parse import quote

import pytest

from edgeneuro.domain.prompt import PROMPT_VERSION
from edgeneuro.domain.query import query_hash
from edgeneuro.errors import UpstreamQuotaError
from edgeneuro.gateway.interface import ModelAnswer, Token
from tests.unit.conftest import Product, says
from tests.unit.test_keys import create

LLAMA = "@cf/meta/llama-3.2-1b-instruct"


async def ask(
    product: Product, query: str, agent: str = "hr", confidence: float = 0.9, **fields: Any
) -> str:
    product.gateway.enqueue(says(agent, confidence))
    decision = (await product.route(query, cache=False, **fields)).json()
    log_id: str = decision["id"]
    return log_id


async def found(product: Product, query: str) -> list[str]:
    answered = await product.call("GET", f"/v1/logs?{query}")
    assert answered.status == 200, answered.text
    return [entry["query"] for entry in answered.json()["data"]]


@pytest.fixture
async def filled(product: Product) -> Product:
    """Four answers, a day apart: it, hr, a low confidence, and an error from the upstream."""
    await ask(product, "My VPN is down", "it_support", 0.95)
    product.clock.seconds += 86_400
    leave = await ask(product, "How many days of leave?", "hr", 0.7)
    await product.call("PUT", f"/v1/logs/{leave}/label", {"agent_id": "hr"})
    product.clock.seconds += 86_400
    await product.call("POST", "/v1/models/select", {"model_id": "intent-routing-v1"})
    # An adapter states nothing: its tokens tell.
    answer = '{"agent": "hr"}'
    product.gateway.enqueue(ModelAnswer(content=answer, tokens=(Token(answer, math.log(0.2)),)))
    await product.route("Is the VPN in my contract?")
    product.clock.seconds += 86_400
    product.gateway.enqueue(UpstreamQuotaError("u"), UpstreamQuotaError("u"))
    await product.route("Say nothing", cache=False, fallback=False)
    return product


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "",
            [
                "Say nothing",
                "Is the VPN in my contract?",
                "How many days of leave?",
                "My VPN is down",
            ],
        ),
        ("agent=it_support", ["My VPN is down"]),
        ("agent=nobody", []),
        (f"model={LLAMA}", ["How many days of leave?", "My VPN is down"]),
        ("model=intent-routing-v1", ["Is the VPN in my contract?"]),
        ("model=%40cf%2Fgoogle%2Fgemma-2b-it-lora", ["Is the VPN in my contract?"]),
        ("layer=llm", ["How many days of leave?", "My VPN is down"]),
        ("layer=fallback&reason=low_confidence", ["Is the VPN in my contract?"]),
        ("reason=quota", ["Say nothing"]),
        ("error=true", ["Say nothing"]),
        ("error=false&layer=fallback", ["Is the VPN in my contract?"]),
        ("labelled=true", ["How many days of leave?"]),
        ("labelled=false&agent=it_support", ["My VPN is down"]),
        ("label=hr", ["How many days of leave?"]),
        ("label=none", []),
        ("max_latency_ms=1&layer=llm", ["How many days of leave?", "My VPN is down"]),
        ("min_latency_ms=1", []),
        ("key=admin_token&agent=hr", ["How many days of leave?"]),
        ("key=another", []),
        ("from=2027-01-16T08:00:00Z&to=2027-01-17T08:00:00Z", ["How many days of leave?"]),
        ("from=2027-01-18T09:00:00%2B01:00", ["Say nothing"]),
        ("to=2027-01-15T08:00:00.001Z", ["My VPN is down"]),
        ("to=2027-01-16", ["My VPN is down"]),
        ("from=2027-01-16&to=2027-01-17", ["How many days of leave?"]),
        ("from=2027-01-18+08:00:00.0000000z", ["Say nothing"]),
        ("min_confidence=0.7&max_confidence=0.9", ["How many days of leave?"]),
        ("q=vpn", ["Is the VPN in my contract?", "My VPN is down"]),
        ("q=VPN+down", ["My VPN is down"]),
        ("q=vpn&agent=it_support", ["My VPN is down"]),
        ("q=vpn&labelled=true", []),
        ("q=d%C3%B3wn", ["My VPN is down"]),
        ("q=is&from=2027-01-16T00:00:00Z&layer=fallback", ["Is the VPN in my contract?"]),
    ],
)
async def test_filters(filled: Product, query: str, expected: list[str]) -> None:
    assert await found(filled, query) == expected


@pytest.mark.parametrize(
    "q",
    ["vpn OR leave", "vpn NOT down", "query:vpn", "v*", 'vpn"', "vpn) (", "NEAR(vpn down)", "^vpn",
     "vpn -down", "{query}: vpn", "vpn\0down", "🙂 vpn", "'; DROP TABLE logs; --", "a" * 500],
)  # fmt: skip
async def test_a_search_is_words_and_never_syntax(filled: Product, q: str) -> None:
    answered = await filled.call("GET", f"/v1/logs?q={quote(q)}")
    assert answered.status == 200, answered.text
    words = {word.strip("\"*()^-{}:;'").lower() for word in q.replace("\0", " ").split()} - {
        "",
        "🙂",
    }
    for entry in answered.json()["data"]:
        assert all(word in entry["query"].lower() for word in words)
    assert len(await found(filled, "")) == 4


async def test_a_hyphen_joins_words_that_stand_together(product: Product) -> None:
    await ask(product, "e-mail is broken")
    await ask(product, "mail e")
    assert await found(product, "q=e-mail") == ["e-mail is broken"]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("layer=gut", "layer"),
        ("reason=mood", "reason"),
        ("labelled=maybe", "labelled"),
        ("labelled=", "labelled"),
        ("from=yesterday", "from"),
        ("from=2027-02-30", "from"),
        ("from=1700000000", "from"),
        ("from=2027-01-15T08:00:00", "from"),
        ("from=2027-13-15T08:00:00Z", "from"),
        ("to=2027-01-15T08:00:00+01:00", "to"),
        ("from=2027-01-15T08:00:00Z&to=2027-01-14T08:00:00Z", "to"),
        ("q=", "q"),
        ("q=%22%20%2A", "q"),
        ("q=%00", "q"),
        ("q=" + "a" * 501, "q"),
        ("agent=", "agent"),
        ("model=", "model"),
        ("key=", "key"),
        ("min_confidence=2", "min_confidence"),
        ("max_confidence=nan", "max_confidence"),
        ("min_confidence=0.5&max_confidence=0.4", "max_confidence"),
        ("since=2027-01-15T08:00:00Z", "since"),
        ("limit=1001", "limit"),
        ("user=", "user"),
        ("metadata.team=", "metadata.team"),
        ("metadata=x", "metadata"),
        ("colour=red", "colour"),
    ],
)
async def test_bad_filters_name_the_parameter(product: Product, query: str, param: str) -> None:
    answered = await product.call("GET", f"/v1/logs?{query}")
    assert (answered.status, answered.json()["error"]["param"]) == (400, param)


async def test_metadata_without_a_key_says_what_to_send(product: Product) -> None:
    error = (await product.call("GET", "/v1/logs?metadata=blue")).json()["error"]
    assert error["message"] == "metadata: must name a key; send metadata.KEY=VALUE."


@pytest.mark.parametrize("query", ["agent=hr", "q=leave", "q=leave&agent=hr&layer=llm"])
async def test_pages_with_filters(product: Product, query: str) -> None:
    made = []
    for number in range(7):
        agent = "hr" if number % 3 else "it_support"
        log_id = await ask(product, f"leave {number}", agent)
        product.clock.seconds += number % 2  # some in the same millisecond
        made += [log_id] if agent == "hr" or query == "q=leave" else []
    seen: list[str] = []
    after = ""
    while True:
        page = (await product.call("GET", f"/v1/logs?limit=2&{query}{after}")).json()
        seen += [entry["id"] for entry in page["data"]]
        if not page["has_more"]:
            break
        after = f"&after={page['last_id']}"
    assert seen == made[::-1]


@pytest.mark.parametrize("filters", ["", "agent=hr", "q=question"])
async def test_what_was_written_later_is_listed_however_old_it_is(
    product: Product, filters: str
) -> None:
    await ask(product, "question 1")
    first = (await product.call("GET", f"/v1/logs?layer=rule&{filters}")).json()
    product.clock.seconds -= 60
    await ask(product, "question 2")
    path = f"/v1/logs?{filters}&written_after="
    product.database.statements.clear()
    later = (await product.call("GET", path + first["newest_id"])).json()
    assert [entry["query"] for entry in later["data"]] == ["question 2"]
    [looked] = [one for one in product.database.statements if " AS match " in one.sql]
    plan = product.database._connection.execute(
        f"EXPLAIN QUERY PLAN {looked.sql}", looked.parameters
    ).fetchall()
    assert any("(rowid>?)" in row["detail"] or ":" in row["detail"] for row in plan)
    nothing = (await product.call("GET", path + later["newest_id"])).json()
    assert (nothing["data"], nothing["newest_id"]) == ([], later["newest_id"])
    older = (await product.call("GET", f"/v1/logs?after={later['newest_id']}")).json()
    assert older["newest_id"] is None


async def test_no_filter_sorts_or_scans_by_another_way_than_its_index(filled: Product) -> None:
    filled.database.statements.clear()
    for query in (
        "",
        "agent=hr&from=2027-01-01T00:00:00Z",
        "after=dec_00000010&layer=llm",
        "q=vpn",
    ):
        await filled.call("GET", f"/v1/logs?{query}")
    for one in filled.database.statements:
        by_seq = one.sql.endswith(" ORDER BY seq DESC LIMIT 1")
        if " FROM logs " in one.sql and " MATCH " not in one.sql and not by_seq:
            plan = filled.database._connection.execute(
                f"EXPLAIN QUERY PLAN {one.sql}", one.parameters
            ).fetchall()
            steps = " | ".join(row["detail"] for row in plan)
            assert "TEMP B-TREE" not in steps
            assert "USING INDEX logs_created_at" in steps
            assert len(one.parameters) <= 100


async def test_one_record_with_its_whole_provenance(filled: Product) -> None:
    log_id = (await filled.call("GET", "/v1/logs?labelled=true")).json()["data"][0]["id"]
    await filled.call("PUT", f"/v1/logs/{log_id}/label", {"agent_id": None, "note": "unclear"})
    given = {"decision_id": log_id, "value": "down", "correct_agent": "it_support"}
    # Of a key that may not label: its feedback corrects nothing.
    key = (await create(filled, scopes=["route"]))["key"]
    assert (await filled.call("POST", "/v1/feedback", given, key=key)).status < 300
    record = (await filled.call("GET", f"/v1/logs/{log_id}")).json()
    assert record["query_hash"] == query_hash("How many days of leave?")
    assert (record["layer"], record["confidence"], record["threshold"]) == ("llm", 0.7, 0.5)
    assert (record["model"], record["adapter"], record["cache"]) == (LLAMA, None, "bypass")
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["ok"]
    assert record["prompt_version"] == PROMPT_VERSION
    assert len(record["agents_revision"]) == 16
    assert record["gateway"] == {"log_id": None, "cache_status": None}
    assert record["label"] == {
        "agent_id": None,
        "labeler": "admin_token",
        "created_at": "2027-01-18T08:00:00.000Z",
    }
    history = [(one["agent_id"], one["removed"], one["note"]) for one in record["label_history"]]
    assert history == [(None, False, "unclear"), ("hr", False, None)]
    [feedback] = record["feedback"]
    assert (feedback["value"], feedback["correct_agent"]) == ("down", "it_support")


async def test_a_record_shows_the_prompt_while_it_holds(product: Product) -> None:
    product.gateway.enqueue(says("hr"))
    log_id = (await product.route("My leave", candidates=["hr", "it_support"])).json()["id"]
    sent = product.gateway.requests[0].messages
    assert (await product.call("GET", f"/v1/logs/{log_id}")).json()["messages"] == sent
    changed = await product.call("PATCH", "/v1/agents/hr", {"description": "Leave and pay."})
    assert changed.status == 200
    assert (await product.call("GET", f"/v1/logs/{log_id}")).json()["messages"] is None


async def test_a_record_keeps_the_cause_of_each_failed_attempt(product: Product) -> None:
    product.gateway.enqueue(UpstreamQuotaError("u", upstream_code="3036"), says("hr"))
    log_id = (await product.route("Leave?")).json()["id"]
    record = (await product.call("GET", f"/v1/logs/{log_id}")).json()
    attempts = [(one["outcome"], one["code"]) for one in record["attempts"]]
    assert attempts == [("quota", "3036"), ("ok", None)]
    assert (record["label"], record["feedback"], record["label_history"]) == (None, [], [])


@pytest.mark.parametrize("log_id", ["dec_none", "%00", "' OR 1=1 --", "x" * 500])
async def test_an_unknown_record(product: Product, log_id: str) -> None:
    answered = await product.call("GET", f"/v1/logs/{log_id}")
    assert (answered.status, answered.json()["error"]["code"]) == (404, "unknown_log")


async def test_an_entry_shows_the_label_of_its_question_whoever_asked(product: Product) -> None:
    first = await ask(product, "Leave?")
    await ask(product, "  LEAVE? ")
    await product.call("PUT", f"/v1/logs/{first}/label", {"agent_id": "hr"})
    assert [entry["label"]["agent_id"] for entry in await product.logs()] == ["hr", "hr"]


def configure(product: Product, key: str, value: str) -> None:
    product.execute(f"INSERT INTO config VALUES ('{key}', '{value}', 0)")
    product.clock.seconds += 6


FIELDS: dict[str, Any] = {"user": "ann@a.io", "session": "s", "metadata": {"team": "blue", "n": 3}}


async def test_with_log_queries_off_rows_keep_facts_and_no_text(product: Product) -> None:
    configure(product, "log_queries", "false")
    product.gateway.enqueue(says("hr"))
    await product.route("My secret leave", **FIELDS)
    [entry] = await product.logs()
    assert (entry["query"], entry["query_hash"]) == ("", None)
    assert (entry["user"], entry["session"], entry["metadata"]) == (None, None, None)
    assert (entry["agent_id"], entry["layer"], entry["confidence"]) == ("hr", "llm", 0.9)
    kept = product.rows("SELECT * FROM logs") + product.rows("SELECT * FROM decision_cache")
    assert "secret" not in str(kept) and "ann@" not in str(kept)
    assert await found(product, "q=secret") == []
    assert product.gateway.requests[0].messages[1]["content"] == "My secret leave"
    # The answer is still kept for the next one who asks.
    assert (await product.route("My secret leave")).json()["cache"] == "hit"


async def test_redaction_is_for_what_is_stored_not_for_the_model(product: Product) -> None:
    configure(product, "redact_personal_data", "true")
    product.gateway.enqueue(says("hr"))
    fields = {**FIELDS, "session": "+49 30 1234567", "metadata": {"of": "4111111111111111", "n": 3}}
    decision = (await product.route("Tell ann@a.io my leave", **fields)).json()
    assert decision["agent"]["id"] == "hr"
    assert product.gateway.requests[0].messages[1]["content"] == "Tell ann@a.io my leave"
    [entry] = await product.logs()
    assert entry["query"] == "Tell [email] my leave"
    assert entry["query_hash"] == query_hash("Tell [email] my leave")
    assert (entry["user"], entry["session"]) == ("[email]", "[phone]")
    assert entry["metadata"] == {"of": "[card]", "n": 3}
    assert "ann@" not in str(product.rows("SELECT * FROM logs"))
    assert await found(product, "q=ann") == []


async def test_without_the_settings_everything_is_stored_as_it_is(product: Product) -> None:
    product.gateway.enqueue(says("hr"))
    await product.route("Tell ann@a.io", **FIELDS)
    [entry] = await product.logs()
    assert entry["query"] == "Tell ann@a.io"
    assert {name: entry[name] for name in FIELDS} == FIELDS
