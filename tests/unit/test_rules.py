"""Rules over the API, and in everything that routes."""

from typing import Any

import pytest

from edgeneuro.errors import UpstreamCapacityError
from edgeneuro.settings import Settings
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.chats import talks, user
from tests.unit.conftest import Answered, Product, says
from tests.unit.test_evaluations import ACTIVE, OTHER, made
from tests.unit.test_label_layer import put_label
from tests.unit.test_limits import create as create_key
from tests.unit.test_routing_tests import put, run

RULES = "/v1/rules"
UNUSED = "@cf/meta/llama-3.2-3b-instruct"  # in no chain
TO_HR = {"when": {"words": ["vacation"]}, "then": {"agent_id": "hr"}}


async def create(product: Product, when: Any, then: Any, **fields: Any) -> Any:
    answered = await product.call("POST", RULES, {"when": when, "then": then, **fields})
    assert answered.status == 201, answered.text
    return answered.json()


async def order(product: Product) -> list[str]:
    page = (await product.call("GET", RULES)).json()
    assert [each["position"] for each in page["data"]] == list(range(1, len(page["data"]) + 1))
    return [each["name"] for each in page["data"]]


def refused(answered: Answered) -> tuple[int, str, str | None]:
    error = answered.json()["error"]
    return answered.status, error["code"], error["param"]


def first_stage(decision: Any) -> Any:
    return decision["explanation"]["stages"][0]


# the API


async def test_create_read_change_delete(product: Product) -> None:
    body = {**TO_HR, "name": "Leave", "enabled": False}
    made = await create(product, **body)
    assert {name: made[name] for name in body} == body
    assert (made["object"], made["position"]) == ("rule", 1)
    path = f"{RULES}/{made['id']}"
    assert (await product.call("GET", path)).json() == made
    product.clock.seconds += 1
    when = {"pattern": r"\d{3}", "metadata": {"vip": True}}
    changed = (await product.call("PATCH", path, {"when": when, "enabled": True})).json()
    assert (changed["when"], changed["enabled"], changed["then"]) == (when, True, TO_HR["then"])
    assert changed["updated_at"] > changed["created_at"]
    assert (await product.call("PATCH", path, {"name": None})).json()["name"] is None
    deleted = await product.call("DELETE", path)
    assert deleted.json() == {"object": "rule.deleted", "id": made["id"], "deleted": True}
    assert refused(await product.call("GET", path)) == (404, "unknown_rule", "rule_id")
    audit = (await product.call("GET", "/v1/audit?resource=rule")).json()["data"]
    assert [each["action"] for each in audit] == ["delete", "update", "update", "create"]


async def test_positions_have_no_gaps(product: Product) -> None:
    ids = {}
    for name, position in (("a", None), ("b", None), ("c", 1), ("d", 3), ("e", 5)):
        fields = {"name": name} | ({} if position is None else {"position": position})
        ids[name] = (await create(product, **TO_HR, **fields))["id"]
    assert await order(product) == ["c", "a", "d", "b", "e"]
    for name, position, expected in (
        ("c", 4, "adbce"),
        ("e", 1, "eadbc"),
        ("d", 3, "eadbc"),
        ("a", 5, "edbca"),
    ):
        moved = await product.call("PATCH", f"{RULES}/{ids[name]}", {"position": position})
        assert moved.json()["position"] == position
        assert "".join(await order(product)) == expected
    await product.call("DELETE", f"{RULES}/{ids['d']}")
    assert "".join(await order(product)) == "ebca"
    answered = await product.call("PATCH", f"{RULES}/{ids['e']}", {"position": 5})
    assert refused(answered) == (400, "invalid_value", "position")
    answered = await product.call("POST", RULES, {**TO_HR, "position": 6})
    assert refused(answered) == (400, "invalid_value", "position")
    assert "".join(await order(product)) == "ebca"


@pytest.mark.parametrize(
    ("when", "then", "code", "param"),
    [
        ({"words": []}, {"agent_id": "hr"}, "invalid_value", "when.words"),
        ({"words": ["a"] * 51}, {"agent_id": "hr"}, "invalid_value", "when.words"),
        ({"words": ["\u200b"]}, {"agent_id": "hr"}, "invalid_value", "when.words[0]"),
        ({"words": [" "]}, {"agent_id": "hr"}, "invalid_value", "when.words[0]"),
        ({"pattern": r"(a)\1"}, {"agent_id": "hr"}, "invalid_value", "when.pattern"),
        ({"pattern": "(a{100}){100}"}, {"agent_id": "hr"}, "invalid_value", "when.pattern"),
        ({"pattern": ""}, {"agent_id": "hr"}, "invalid_value", "when.pattern"),
        ({"mention": False}, None, "invalid_value", "when.mention"),
        ({"mention": True}, {"agent_id": "hr"}, "invalid_value", "then"),
        ({"metadata": {}}, {"agent_id": "hr"}, "invalid_value", "when.metadata"),
        ({"user": "joe@example.com"}, {"agent_id": "hr"}, "invalid_value", "when.user"),
        ({"word": "a"}, {"agent_id": "hr"}, "unknown_field", "when.word"),
        ({}, None, "missing_field", "then"),
        ({}, {}, "invalid_value", "then"),
        ({}, {"agent_id": "hr", "prefer": "hr"}, "invalid_value", "then"),
        ({}, {"agent_id": "nobody"}, "unknown_agent", "then.agent_id"),
        ({}, {"prefer": "nobody"}, "unknown_agent", "then.prefer"),
        ({}, {"never": ["hr", "nobody"]}, "unknown_agent", "then.never[1]"),
        ({}, {"never": []}, "invalid_value", "then.never"),
        ({}, {"model": "nothing"}, "unknown_model", "then.model"),
    ],
)
async def test_what_is_refused(
    product: Product, when: Any, then: Any, code: str, param: str
) -> None:
    body = {"when": when, "then": then}
    for path in (RULES, f"{RULES}/test"):
        answered = await product.call("POST", path, body)
        assert refused(answered) == (400, code, param), answered.text
    made = await create(product, {"words": ["x"]}, {"agent_id": "hr"})
    answered = await product.call("PATCH", f"{RULES}/{made['id']}", body)
    assert refused(answered) == (400, code, param), answered.text
    assert len(await order(product)) == 1


async def test_an_expression_is_refused_with_a_sentence(product: Product) -> None:
    body = {"when": {"pattern": "(?=a)"}, "then": {"agent_id": "hr"}}
    message = (await product.call("POST", RULES, body)).json()["error"]["message"]
    assert "the expression has a group that begins with (?" in message and "look-ahead" in message


async def test_there_are_100_rules_at_most(product: Product) -> None:
    for _ in range(100):
        await create(product, **TO_HR)
    for path in (RULES, f"{RULES}/test"):
        answered = await product.call("POST", path, {**TO_HR, "position": 1})
        assert refused(answered) == (409, "too_many_rules", None)
    last = (await product.call("GET", RULES)).json()
    assert (len(last["data"]), last["has_more"]) == (100, False)
    replaces = {**TO_HR, "replaces": last["last_id"]}
    assert (await product.call("POST", f"{RULES}/test", replaces)).status == 200


async def test_a_repeated_request_creates_one_rule(product: Product) -> None:
    headers = {"idempotency-key": "k1"}
    first = await product.call("POST", RULES, TO_HR, headers=headers)
    again = await product.call("POST", RULES, TO_HR, headers=headers)
    assert first.json() == again.json() and len(await order(product)) == 1


async def test_a_damaged_row_does_not_end_routing(product: Product) -> None:
    await create(product, **TO_HR)
    await create(product, {"words": ["vpn"]}, {"agent_id": "it_support"})
    product.execute('UPDATE rules SET conditions = \'{"pattern": "("}\' WHERE position = 1')
    assert (await product.route("vpn")).json()["layer"] == "rule"


# routing


async def test_without_rules_there_is_no_stage(product: Product) -> None:
    await create(product, **TO_HR, enabled=False)
    product.gateway.enqueue(says("hr"))
    decision = (await product.route("vacation", explain=True)).json()
    assert decision["layer"] == "llm" and first_stage(decision)["name"] == "label"
    assert "rule" not in decision["explanation"]["stages_ms"]


async def test_a_rule_names_the_agent(product: Product) -> None:
    made = await create(product, **TO_HR, name="Leave")
    await put_label(product, "My VACATION", "general")
    answered = await product.route("My VACATION", explain=True)
    decision = answered.json()
    assert (decision["layer"], decision["agent"]["id"]) == ("rule", "hr")
    assert (decision["confidence"], decision["confidence_source"]) == (1.0, "rule")
    assert (decision["reason"], decision["cache"], decision["attempts"]) == (None, "bypass", [])
    assert answered.headers["x-edgeneuro-layer"] == "rule"
    stage = first_stage(decision)
    assert (stage["outcome"], stage["rules"]) == ("decided", [made["id"]])
    assert stage["reason"] == f"rule {made['id']} (Leave) names 'hr'"
    assert decision["explanation"]["label"] == "not asked: the stage 'rule' decided"
    record = (await product.call("GET", f"/v1/logs/{decision['id']}")).json()
    assert (record["layer"], record["confidence_source"]) == ("rule", "rule")
    assert record["stages"][0]["rules"] == [made["id"]]
    assert (await product.call("GET", "/v1/logs?layer=rule")).json()["data"][0]["id"] == record[
        "id"
    ]


async def test_a_mention(product: Product) -> None:
    await create(product, {"mention": True}, None)
    assert (await product.route("@it_support hello")).json()["agent"]["id"] == "it_support"
    assert (await product.route("hello @Human Resources")).json()["agent"]["id"] == "hr"
    product.gateway.enqueue(says("general"))
    assert (await product.route("hello joe@hr.example")).json()["layer"] == "llm"


async def test_a_change_holds_from_the_next_request_on(product: Product) -> None:
    made = await create(product, **TO_HR)
    path = f"{RULES}/{made['id']}"
    assert (await product.route("vacation")).json()["agent"]["id"] == "hr"
    await product.call("PATCH", path, {"then": {"agent_id": "general"}})
    assert (await product.route("vacation")).json()["agent"]["id"] == "general"
    await product.call("DELETE", path)
    product.gateway.enqueue(says("it_support"))
    assert (await product.route("vacation")).json()["layer"] == "llm"


async def test_conditions_of_the_request(product: Product) -> None:
    key = await create_key(product)
    when = {"key_id": key["id"], "user": "u1", "metadata": {"plan": "pro"}}
    await create(product, when, {"agent_id": "hr"})
    body: dict[str, Any] = {"query": "a", "user": "u1", "metadata": {"plan": "pro", "n": 2}}
    decided = await product.call("POST", "/v1/route", body, key=key["key"])
    assert decided.json()["layer"] == "rule"
    for changed in ({"user": "u2"}, {"metadata": {"plan": "free"}}):
        product.gateway.enqueue(says("general"))
        sent = body | {"query": f"b {changed}"} | changed
        answered = await product.call("POST", "/v1/route", sent, key=key["key"])
        assert answered.json()["layer"] == "llm"
    product.gateway.enqueue(says("general"))
    assert (await product.route(**body)).json()["layer"] == "llm"


async def test_an_agent_that_cannot_answer_is_skipped(product: Product) -> None:
    first = await create(product, {}, {"agent_id": "hr"})
    await create(product, {}, {"agent_id": "it_support"})
    await product.call("PATCH", "/v1/agents/hr", {"enabled": False})
    decision = (await product.route("a", explain=True)).json()
    assert decision["agent"]["id"] == "it_support"
    skipped = f"rule {first['id']} is skipped: the agent 'hr' is not enabled"
    assert first_stage(decision)["reason"].startswith(skipped)
    await product.call("DELETE", "/v1/agents/hr")
    key = await create_key(product, agents=["general"])
    product.gateway.enqueue(says("general"))
    body = {"query": "b"}
    decided = (await product.call("POST", "/v1/route", body, key=key["key"])).json()
    assert decided["layer"] == "llm"
    stage = (await product.call("GET", f"/v1/logs/{decided['id']}")).json()["stages"][0]
    assert stage["outcome"] == "skipped" and stage.get("rules") is None
    assert stage["reason"].endswith("the agent 'it_support' is not allowed")


async def test_never_keeps_an_agent_out_of_everything(product: Product) -> None:
    """Out of the prompt, of cached answers, and of labels."""
    product.gateway.enqueue(says("hr"), says("it_support"))
    assert (await product.route("Leave?")).json()["agent"]["id"] == "hr"
    made = await create(product, {}, {"never": ["hr"]})
    decision = (await product.route("Leave?", explain=True)).json()
    assert (decision["agent"]["id"], decision["cache"]) == ("it_support", "miss")
    assert '"hr"' not in str(product.gateway.requests[-1].response_schema)
    assert "Human Resources" not in product.gateway.requests[-1].messages[0]["content"]
    stage = first_stage(decision)
    assert (stage["outcome"], stage["rules"]) == ("skipped", [made["id"]])
    await put_label(product, "Leave?", "hr")
    assert (await product.route("Leave?")).json()["agent"]["id"] == "it_support"
    await product.call("DELETE", f"{RULES}/{made['id']}")
    assert (await product.route("Leave?")).json()["layer"] == "label"


@pytest.mark.parametrize("candidates", [None, ["hr", "general"]])
async def test_where_no_agent_is_left_nobody_answers(product: Product, candidates: Any) -> None:
    never = ["hr", "it_support", "general"] if candidates is None else candidates
    await create(product, {}, {"never": never})
    decision = (await product.route("a", candidates=candidates, explain=True)).json()
    assert (decision["outcome"], decision["agent"]) == ("none", None)
    assert (decision["layer"], decision["reason"]) == ("rule", "out_of_scope")
    assert product.gateway.requests == []


async def test_an_excluded_agent_is_no_fallback(product: Product) -> None:
    await create(product, {}, {"never": ["general"]})
    product.gateway.enqueue(says("hr", 0.1))
    assert (await product.route("a")).json()["outcome"] == "none"


@pytest.mark.parametrize(
    ("answer", "chosen", "reason"),
    [
        (says("hr", 0.9), "hr", None),
        (says("hr", 0.1), "it_support", "preferred_by_rule"),
        (says("none", 0.9), "it_support", "preferred_by_rule"),
        (UpstreamCapacityError("full"), "it_support", "preferred_by_rule"),
    ],
)
async def test_a_preferred_agent_replaces_the_fallback_agent(
    product: Product, answer: Any, chosen: str, reason: str | None
) -> None:
    await create(product, {}, {"prefer": "it_support"})
    product.gateway.enqueue(*[answer] * (4 if isinstance(answer, Exception) else 1))
    decision = (await product.route("a")).json()
    assert (decision["outcome"], decision["agent"]["id"]) == ("agent", chosen)
    assert (decision["layer"], decision["reason"]) == ("rule" if reason else "llm", reason)
    assert decision["confidence"] == (None if reason else 0.9)
    record = (await product.call("GET", f"/v1/logs/{decision['id']}")).json()
    assert (record["agent_id"], record["reason"]) == (chosen, reason)


async def test_a_preferred_agent_hides_no_failure_of_a_request_without_fallback(
    product: Product,
) -> None:
    await create(product, {}, {"prefer": "it_support"})
    product.gateway.enqueue(*[UpstreamCapacityError("full")] * 4)
    assert (await product.route("a", fallback=False)).status == 429


async def test_a_rules_model_routes_as_if_it_was_named(product: Product) -> None:
    """Without labels, with a cache of its own."""
    await create(product, {"words": ["hard"]}, {"model": OTHER})
    await put_label(product, "hard", "general")
    product.gateway.enqueue(says("hr"), says("it_support"))
    decision = (await product.route("hard")).json()
    assert (decision["model"], decision["agent"]["id"], decision["cache"]) == (OTHER, "hr", "miss")
    again = (await product.route("hard")).json()
    assert (again["model"], again["agent"]["id"], again["cache"]) == (OTHER, "hr", "hit")
    assert (await product.route("easy")).json()["model"] == ACTIVE


async def test_a_model_that_the_key_may_not_use_is_skipped(product: Product) -> None:
    await create(product, {}, {"model": OTHER})
    key = await create_key(product, models=[ACTIVE])
    product.gateway.enqueue(says("hr"))
    decided = (await product.call("POST", "/v1/route", {"query": "a"}, key=key["key"])).json()
    assert decided["model"] == ACTIVE
    stage = (await product.call("GET", f"/v1/logs/{decided['id']}")).json()["stages"][0]
    assert stage["reason"].endswith(f"the key may not use the model {OTHER!r}")


async def test_a_budget_counts_the_model_of_a_rule(product: Product) -> None:
    """It reserves, and refuses before the model is called, what that model may cost."""
    price = {"input_per_million": 1e6, "output_per_million": 1e6, "currency": "USD"}
    priced = await product.call("PATCH", f"/v1/models/{UNUSED}", {"pricing": price})
    assert priced.status == 200, priced.text
    key = await create_key(product, monthly_budget_usd=1)
    await create(product, {"words": ["hard"]}, {"model": UNUSED})
    answered = await product.call("POST", "/v1/route", {"query": "hard"}, key=key["key"])
    assert answered.status == 429 and product.gateway.requests == []
    product.gateway.enqueue(says("hr"))
    answered = await product.call("POST", "/v1/route", {"query": "easy"}, key=key["key"])
    assert answered.status == 200


async def test_a_request_that_names_a_model_gets_its_decision(product: Product) -> None:
    await create(product, {}, {"never": ["general"]})
    await create(product, {}, {"agent_id": "hr"})
    product.gateway.enqueue(says("it_support"))
    decision = (await product.route("a", model=OTHER)).json()
    assert (decision["layer"], decision["agent"]["id"]) == ("llm", "it_support")
    assert "General" not in product.gateway.requests[-1].messages[0]["content"]


async def test_rules_hold_without_a_cache(product: Product) -> None:
    await create(product, **TO_HR)
    assert (await product.route("vacation", cache=False)).json()["layer"] == "rule"


async def test_rules_hold_in_chats(product: Product) -> None:
    await create(product, **TO_HR)
    product.gateway.enqueue(talks())
    body = {"model": "auto", "messages": [user("my vacation")]}
    answered = await product.call("POST", "/v1/chat/completions", body)
    assert answered.status == 200, answered.text
    assert answered.headers["x-edgeneuro-agent"] == "hr"
    assert answered.headers["x-edgeneuro-layer"] == "rule"


async def test_rules_hold_in_the_decision_apis(product: Product) -> None:
    await create(product, **TO_HR)
    questions = {"agent": {"type": "choice", "instructions": "Who?"}}
    body = {"model": "auto", "state": "my vacation", "questions": questions}
    answered = await product.call("POST", "/v1/systemone", body)
    assert answered.status == 200, answered.text
    assert '"hr"' in answered.text and product.gateway.requests == []
    assert (await product.logs())[0]["layer"] == "rule"


async def test_rules_hold_in_evaluations_of_the_pipeline(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = await made(database, settings, lambda model, query: says("it_support"))
    await create(product, {"words": ["vacation"]}, {"agent_id": "hr"})
    await put(product, [{"query": "vacation", "expect": "hr"}])
    assert (await run(product))["passed"]
    [rule] = (await product.call("GET", RULES)).json()["data"]
    await product.call("DELETE", f"{RULES}/{rule['id']}")
    assert not (await run(product))["passed"]


# the test of a rule


async def try_rule(product: Product, when: Any, then: Any, **fields: Any) -> Any:
    body = {"when": when, "then": then, **fields}
    answered = await product.call("POST", f"{RULES}/test", body)
    assert answered.status == 200, answered.text
    return answered.json()


async def some_logs(product: Product) -> None:
    answers = [says("hr"), says("it_support"), says("hr", 0.1), says("none")]
    product.gateway.enqueue(*answers)
    for query in ("leave one", "vpn", "leave two", "weather"):
        product.clock.seconds += 1
        assert (await product.route(query, user="u1")).status == 200


async def test_a_test_shows_what_would_change(product: Product) -> None:
    await some_logs(product)
    tested = await try_rule(product, {"words": ["leave"]}, {"agent_id": "hr"})
    counts = ("tested", "matched", "changed", "undecided", "complete", "warning")
    assert [tested[name] for name in counts] == [4, 2, 1, 0, True, None]
    [example] = tested["examples"]
    assert (example["query"], example["agent_before"]) == ("leave two", "general")
    assert (example["agent_after"], example["effect"]) == ("hr", "agent_id")
    never = await try_rule(product, {"user": "u1"}, {"never": ["hr"]})
    assert (never["matched"], never["changed"], never["undecided"]) == (4, 1, 1)
    assert never["warning"].startswith("The rule holds for all 4 tested queries")
    prefer = await try_rule(product, {}, {"prefer": "it_support"})
    assert [each["query"] for each in prefer["examples"]] == ["weather", "leave two"]
    assert prefer["warning"] == "The rule has no condition: it holds for every message."
    model = await try_rule(product, {"pattern": "^leave"}, {"model": OTHER})
    assert (model["matched"], model["changed"], model["undecided"]) == (2, 2, 2)
    same = await try_rule(product, {"pattern": "^leave one"}, {"model": ACTIVE})
    assert (same["matched"], same["changed"]) == (1, 0)
    assert await order(product) == []


async def test_a_test_respects_the_other_rules(product: Product) -> None:
    await some_logs(product)
    first = await create(product, {"words": ["two"]}, {"agent_id": "it_support"})
    wanted = ({"words": ["leave"]}, {"agent_id": "hr"})
    assert (await try_rule(product, *wanted))["changed"] == 0
    assert (await try_rule(product, *wanted, position=1))["changed"] == 1
    assert (await try_rule(product, *wanted, replaces=first["id"]))["changed"] == 1
    body = {"when": {}, "then": {"agent_id": "hr"}, "replaces": "rul_x"}
    answered = await product.call("POST", f"{RULES}/test", body)
    assert refused(answered) == (404, "unknown_rule", "replaces")


async def test_a_test_reads_the_newest_1000_rows_with_their_text(product: Product) -> None:
    await some_logs(product)
    columns = [row["name"] for row in product.rows("PRAGMA table_info(logs)")]
    copied = [name for name in columns if name not in ("seq", "id")]
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
    copy = (
        f"INSERT INTO logs (id, {', '.join(copied)}) {numbers.format(1_100)}"
        f" SELECT 'copy' || i, {', '.join(copied)} FROM n, logs WHERE logs.query = 'vpn'"
    )
    product.execute(copy)
    product.execute("UPDATE logs SET query_hash = NULL, query = '' WHERE id LIKE 'copy11%'")
    tested = await try_rule(product, {"words": ["vpn"]}, {"agent_id": "hr"})
    blank = sum(str(number).startswith("11") for number in range(101, 1_101))
    assert (tested["tested"], tested["changed"]) == (1_000 - blank, 1_000 - blank)
    assert (len(tested["examples"]), tested["complete"]) == (20, True)


async def test_a_test_ends_before_it_takes_too_long(product: Product) -> None:
    await some_logs(product)
    product.execute(
        "UPDATE logs SET query = (SELECT group_concat(char(97 + abs(random()) % 2), '') FROM"
        " (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000)"
        " SELECT i FROM n)) WHERE query = 'leave one'"
    )
    tested = await try_rule(product, {"pattern": "(a|b)*a(a|b){90}[cd]"}, {"agent_id": "hr"})
    assert not tested["complete"] and tested["tested"] < 4


async def test_nothing_to_test(product: Product) -> None:
    tested = await try_rule(product, {"words": ["a"]}, {"agent_id": "hr"})
    assert (tested["tested"], tested["warning"], tested["examples"]) == (0, None, [])


async def test_the_stage_of_a_run_is_shown(product: Product) -> None:
    """Rules that hold but change nothing leave their reason."""
    await create(product, {"words": ["x"]}, {"agent_id": "hr"})
    product.gateway.enqueue(says("hr"))
    stage = first_stage((await product.route("a", explain=True)).json())
    assert (stage["name"], stage["outcome"]) == ("rule", "skipped")
    assert stage["reason"] == "no rule holds for this message"


async def test_a_challenger_gets_what_the_rules_have_left(product: Product) -> None:
    body = {"model_id": OTHER, "challenger": 100}
    assert (await product.call("POST", "/v1/models/select", body)).status == 200
    await create(product, {}, {"never": ["hr"]})
    await create(product, {"words": ["vpn"]}, {"agent_id": "it_support"})
    product.gateway.enqueue(says("general"), says("it_support"))
    assert (await product.route("a")).status == 200
    active, challenger = product.gateway.requests
    assert (active.model, challenger.model) == (ACTIVE, OTHER)
    assert "Human Resources" not in challenger.messages[0]["content"]
    assert active.messages == challenger.messages
    assert (await product.route("vpn")).json()["layer"] == "rule"
    assert len(product.gateway.requests) == 2
