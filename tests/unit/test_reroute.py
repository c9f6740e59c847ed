"""POST /v1/decisions/{id}/reroute: the next best agent, the chain of decisions, and the weak
feedback on those that were replaced."""

from typing import Any

import pytest

from edgeneuro.settings import Settings
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import ADMIN_TOKEN, Answered, Product, says
from tests.unit.decision_models import chose, decision_product
from tests.unit.test_evaluations import select
from tests.unit.test_keys import create

GRANITE = "@cf/ibm-granite/granite-4.0-h-micro"
VPN = "My VPN is down"
RANKED = {"it_support": 0.7, "hr": 0.2, "general": 0.05, "none": 0.05}


@pytest.fixture
async def ranked(database: SqliteDatabase, settings: Settings) -> Product:
    """With a decision model, whose rankings have all agents."""
    return await decision_product(database, settings)


async def reroute(
    product: Product, decision_id: str, *refused: str, key: str = ADMIN_TOKEN, **body: Any
) -> Answered:
    path = f"/v1/decisions/{decision_id}/reroute"
    fields = {"not": list(refused), **body} if refused else body
    return await product.call("POST", path, fields, key=key)


async def first(product: Product, agent: str = "it_support", **fields: Any) -> str:
    product.gateway.enqueue(says(agent))
    answered = await product.route(VPN, **fields)
    decision: dict[str, Any] = answered.json()
    assert decision["agent"]["id"] == agent
    found: str = decision["id"]
    return found


async def entry_of(product: Product, log_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await product.call("GET", f"/v1/logs/{log_id}")).json()
    return found


def agent_of(answered: Answered) -> str | None:
    assert answered.status == 200, answered.text
    agent: dict[str, str] | None = answered.json()["agent"]
    return None if agent is None else agent["id"]


def refused(answered: Answered) -> tuple[int, str, str]:
    error = answered.json()["error"]
    return answered.status, error["code"], error["param"]


async def test_the_logged_ranking_names_the_next_best_agent_without_a_model_call(
    ranked: Product,
) -> None:
    ranked.gateway.enqueue(chose(RANKED))
    before = (await ranked.route(VPN, user="ann", session="s1", metadata={"shop": 3})).json()
    answered = await reroute(ranked, before["id"], reason="That is about pay.")
    decision = answered.json()
    assert (decision["outcome"], agent_of(answered)) == ("agent", "hr")
    # 0.2 of the 0.3 that are left without it_support.
    assert decision["confidence"] == pytest.approx(0.2 / 0.3)
    assert decision["none_probability"] == pytest.approx(0.05 / 0.3)
    assert (decision["layer"], decision["cache"], decision["attempts"]) == ("cache", "hit", [])
    assert (decision["rerouted_from"], decision["calibrated"]) == (before["id"], False)
    assert (answered.headers["x-edgeneuro-agent"], decision["usage"]["total_tokens"]) == ("hr", 0)
    assert len(ranked.gateway.decision_requests) == 1

    replaced, entry = [await entry_of(ranked, each["id"]) for each in (before, decision)]
    assert (replaced["rerouted_to"], replaced["rerouted_from"]) == (decision["id"], None)
    assert (entry["rerouted_to"], entry["rerouted_from"]) == (None, before["id"])
    assert (entry["query"], entry["query_hash"]) == (VPN, replaced["query_hash"])
    assert (entry["user"], entry["session"], entry["metadata"]) == ("ann", "s1", {"shop": 3})
    assert entry["candidates"] == ["general", "hr"]
    assert [stage["name"] for stage in entry["stages"]] == ["label", "earlier_ranking"]
    [signal] = replaced["signals"]
    assert entry["signals"] == replaced["feedback"] == []
    assert (signal["kind"], signal["agent_id"]) == ("rerouted", "it_support")
    assert (signal["reason"], signal["key_id"]) == ("That is about pay.", "admin_token")


@pytest.mark.parametrize(
    "ranking",
    [
        # Given that it_support is wrong: below the threshold, or less probable than that none fits.
        {"it_support": 0.8, "hr": 0.06, "general": 0.06, "none": 0.08},
        {"it_support": 0.8, "hr": 0.09, "general": 0.0, "none": 0.11},
        # What is left is mostly rounding.
        {"it_support": 0.995, "hr": 0.005, "general": 0.0, "none": 0.0},
    ],
)
async def test_a_ranking_that_is_not_sure_of_another_agent_is_not_used(
    ranked: Product, ranking: dict[str, float]
) -> None:
    ranked.gateway.enqueue(chose(ranking))
    before = (await ranked.route(VPN)).json()
    ranked.gateway.enqueue(chose({"hr": 0.1, "general": 0.8, "none": 0.1}))
    answered = await reroute(ranked, before["id"])
    assert (agent_of(answered), answered.json()["layer"]) == ("general", "decision_model")
    asked = ranked.gateway.decision_requests[-1].questions["agent"]
    assert "it_support" not in str(asked) and "hr" in str(asked)


async def test_a_ranking_that_was_certain_leaves_nothing_to_the_others(ranked: Product) -> None:
    ranked.gateway.enqueue(chose({"it_support": 1.0, "hr": 0.0, "general": 0.0, "none": 0.0}))
    before = (await ranked.route(VPN)).json()
    ranked.gateway.enqueue(chose({"hr": 0.9, "general": 0.05, "none": 0.05}))
    assert agent_of(await reroute(ranked, before["id"])) == "hr"
    assert len(ranked.gateway.decision_requests) == 2


async def test_after_a_change_of_the_agents_a_model_is_asked(ranked: Product) -> None:
    ranked.gateway.enqueue(chose(RANKED))
    before = (await ranked.route(VPN)).json()
    new = {"id": "network", "name": "Network", "description": "VPN and Wi-Fi."}
    assert (await ranked.call("POST", "/v1/agents", new)).status == 201
    ranked.gateway.enqueue(chose({"network": 0.9, "hr": 0.0, "general": 0.0, "none": 0.1}))
    assert agent_of(await reroute(ranked, before["id"])) == "network"


async def test_a_model_that_names_one_agent_is_asked_again_without_it(product: Product) -> None:
    decision_id = await first(product)
    product.gateway.enqueue(says("hr"))
    answered = await reroute(product, decision_id)
    assert (agent_of(answered), answered.json()["layer"]) == ("hr", "llm")
    prompt = str(product.gateway.requests[-1].messages)
    assert "IT Support" not in prompt and "Human Resources" in prompt


async def test_the_chain_goes_on_and_is_bounded(product: Product) -> None:
    for number in range(2):
        agent = {"id": f"more{number}", "name": f"More {number}", "description": "More."}
        assert (await product.call("POST", "/v1/agents", agent)).status == 201
    chain = [await first(product)]
    for next_best in ("hr", "more0", "more1"):
        product.gateway.enqueue(says(next_best))
        answered = await reroute(product, chain[-1])
        assert agent_of(answered) == next_best
        chain.append(answered.json()["id"])
    assert refused(await reroute(product, chain[-1])) == (409, "reroute_limit", "decision_id")
    entries = [await entry_of(product, each) for each in chain]
    assert [each["rerouted_from"] for each in entries] == [None, *chain[:-1]]
    assert [each["rerouted_to"] for each in entries] == [*chain[1:], None]
    assert [len(each["signals"]) for each in entries] == [1, 1, 1, 0]
    assert entries[-1]["candidates"] == ["general", "more1"]


async def test_the_same_next_decision_again(product: Product) -> None:
    decision_id = await first(product)
    product.gateway.enqueue(says("hr"))
    once = await reroute(product, decision_id, reason="no")
    again = await reroute(product, decision_id)
    assert again.json() == once.json()
    assert again.headers["x-edgeneuro-agent"] == "hr"
    assert len(await product.logs()) == 2
    # Its agent is refused too, or is gone: the chain continues from there.
    product.gateway.enqueue(says("general"))
    further = await reroute(product, decision_id, "hr")
    assert (agent_of(further), further.json()["rerouted_from"]) == ("general", once.json()["id"])
    await product.call("PATCH", "/v1/agents/general", {"enabled": False, "default": False})


async def test_an_agent_that_is_gone_is_not_given_again(product: Product) -> None:
    decision_id = await first(product)
    product.gateway.enqueue(says("hr"))
    once = await reroute(product, decision_id)
    await product.call("DELETE", "/v1/agents/hr")
    product.gateway.enqueue(says("general"))
    further = await reroute(product, decision_id, "hr")
    assert (agent_of(further), further.json()["rerouted_from"]) == ("general", once.json()["id"])


async def test_what_was_refused_before_stays_out(product: Product) -> None:
    decision_id = await first(product)
    product.gateway.enqueue(says("general"))
    answered = await reroute(product, decision_id, "hr")
    assert agent_of(answered) == "general"
    nobody = await reroute(product, answered.json()["id"])
    decision = nobody.json()
    assert (decision["outcome"], decision["agent"], decision["reason"]) == (
        "none",
        None,
        "out_of_scope",
    )
    assert decision["attempts"] == [] and len(product.gateway.requests) == 2
    entry = await entry_of(product, decision["id"])
    assert (entry["agent_id"], entry["candidates"], entry["status"]) == (None, [], 200)
    assert refused(await reroute(product, decision["id"])) == (
        409,
        "no_agent_decided",
        "decision_id",
    )


async def test_the_fallback_agent_answers_unless_it_refused(product: Product) -> None:
    decision_id = await first(product)
    product.gateway.enqueue(says("hr", 0.1))
    answered = await reroute(product, decision_id)
    assert (agent_of(answered), answered.json()["outcome"]) == ("general", "fallback")
    product.gateway.enqueue(says("hr", 0.1))
    nobody = await reroute(product, answered.json()["id"])
    assert (agent_of(nobody), nobody.json()["reason"]) == (None, "low_confidence")
    other = await first(product, cache=False)
    product.gateway.enqueue(says("hr", 0.1))
    answered = await reroute(product, other, on_no_fit="none")
    assert (agent_of(answered), answered.json()["cache"]) == (None, "bypass")


async def test_rules_and_labels_hold_for_the_other_agents(product: Product) -> None:
    rule = {"when": {"words": ["vpn"]}, "then": {"agent_id": "it_support"}}
    assert (await product.call("POST", "/v1/rules", rule)).status == 201
    decision_id = (await product.route(VPN)).json()["id"]
    product.gateway.enqueue(says("general"))
    assert agent_of(await reroute(product, decision_id)) == "general"
    other = (await product.route("My VPN is gone")).json()["id"]
    await product.call("PUT", f"/v1/logs/{other}/label", {"agent_id": "hr"})
    answered = await reroute(product, other)
    assert (agent_of(answered), answered.json()["layer"]) == ("hr", "label")


async def test_the_cached_ranking_is_dropped(product: Product) -> None:
    decision_id = await first(product)
    assert (await product.route(VPN)).json()["cache"] == "hit"
    product.gateway.enqueue(says("hr"))
    await reroute(product, decision_id)
    product.gateway.enqueue(says("hr"))
    again = (await product.route(VPN)).json()
    assert (again["agent"]["id"], again["cache"]) == ("hr", "miss")
    [revision] = product.rows("SELECT labels FROM revision")
    assert revision["labels"] == 1
    assert product.rows("SELECT * FROM labels") == []


async def test_who_may_reroute_and_what_it_costs(product: Product) -> None:
    own = await create(product, agents=["it_support", "hr"], monthly_token_budget=100_000)
    key, other = own["key"], (await create(product))["key"]
    product.gateway.enqueue(says("it_support"))
    sent = {"query": VPN}
    decision_id = (await product.call("POST", "/v1/route", sent, key=key)).json()["id"]
    assert refused(await reroute(product, decision_id, key=other)) == (
        404,
        "unknown_decision",
        "decision_id",
    )
    product.gateway.enqueue(says("hr"))
    answered = await reroute(product, decision_id, key=key)
    assert agent_of(answered) == "hr"
    entry = await entry_of(product, answered.json()["id"])
    assert (entry["key_id"], entry["candidates"]) == (own["id"], ["hr"])
    assert answered.headers["x-ratelimit-limit-tokens"] == "100000"
    assert agent_of(await reroute(product, decision_id)) == "hr"  # an administrator


async def test_a_key_goes_on_where_an_administrator_has_rerouted(product: Product) -> None:
    key = (await create(product))["key"]
    product.gateway.enqueue(says("it_support"))
    sent = {"query": VPN}
    decision_id = (await product.call("POST", "/v1/route", sent, key=key)).json()["id"]
    product.gateway.enqueue(says("hr"))
    second = (await reroute(product, decision_id)).json()["id"]
    assert (await reroute(product, decision_id, key=key)).json()["id"] == second
    product.gateway.enqueue(says("general"))
    third = await reroute(product, decision_id, "hr", key=key)
    assert (agent_of(third), third.json()["rerouted_from"]) == ("general", second)


async def test_an_agent_that_the_key_may_not_use_any_more_is_not_given_again(
    product: Product,
) -> None:
    key = await create(product)
    product.gateway.enqueue(says("it_support"))
    sent = {"query": VPN}
    decision_id = (await product.call("POST", "/v1/route", sent, key=key["key"])).json()["id"]
    product.gateway.enqueue(says("hr"))
    assert agent_of(await reroute(product, decision_id, key=key["key"])) == "hr"
    await product.call("PATCH", f"/v1/keys/{key['id']}", {"agents": ["it_support", "general"]})
    product.gateway.enqueue(says("general"))
    answered = await reroute(product, decision_id, key=key["key"])
    assert agent_of(answered) == "general"


async def test_the_label_holds_for_a_reply_too(ranked: Product) -> None:
    await ranked.call("PATCH", "/v1/config", {"clarify": True})
    ranked.gateway.enqueue(chose({"it_support": 0.45, "hr": 0.4, "general": 0.05, "none": 0.1}))
    await ranked.route("Where is my form?", session="s1")
    reply = (await ranked.route("the second one", session="s1")).json()
    assert (reply["layer"], reply["agent"]["id"]) == ("session", "hr")
    await ranked.call("PUT", f"/v1/logs/{reply['id']}/label", {"agent_id": "general"})
    decision = (await reroute(ranked, reply["id"])).json()
    assert (decision["layer"], decision["agent"]["id"]) == ("label", "general")


@pytest.mark.parametrize(
    ("decision_id", "body", "expected"),
    [
        ("dec_none", {}, (404, "unknown_decision", "decision_id")),
        ("%2e%2e%2flogs", {}, (404, "unknown_decision", "decision_id")),
        ("' OR 1=1 --".replace(" ", "%20"), {}, (404, "unknown_decision", "decision_id")),
        ("", {"not": ["ceo"]}, (400, "unknown_agent", "not[0]")),
        ("", {"not": ["hr", "none"]}, (400, "invalid_value", "not[1]")),
        ("", {"not": "hr"}, (400, "invalid_value", "not")),
        ("", {"reason": "x" * 201}, (400, "invalid_value", "reason")),
        ("", {"reason": "a\0"}, (400, "invalid_value", "reason")),
        ("", {"agents": []}, (400, "unknown_field", "agents")),
    ],
)
async def test_bad_requests(
    product: Product, decision_id: str, body: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    known = await first(product)
    path = f"/v1/decisions/{decision_id or known}/reroute"
    assert refused(await product.call("POST", path, body)) == expected
    assert product.rows("SELECT * FROM signals") == [] and len(await product.logs()) == 1


async def test_a_disabled_agent_may_be_named(product: Product) -> None:
    decision_id = await first(product)
    await product.call("PATCH", "/v1/agents/hr", {"enabled": False})
    product.gateway.enqueue(says("general"))
    assert agent_of(await reroute(product, decision_id, "hr", "it_support")) == ("general")


async def test_without_the_text_the_message_has_to_be_sent_again(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"log_queries": False})
    decision_id = await first(product)
    answered = await reroute(product, decision_id)
    assert refused(answered) == (409, "text_not_stored", "decision_id")
    assert "candidates" in answered.json()["error"]["message"]


async def test_decisions_that_nothing_was_routed_for(product: Product) -> None:
    body = {"model": "agent:hr", "messages": [{"role": "user", "content": "Leave?"}]}
    product.gateway.enqueue(says("x"))
    chat = await product.call("POST", "/v1/chat/completions", body)
    decision_id = chat.json()["edgeneuro"]["decision_id"]
    assert refused(await reroute(product, decision_id)) == (409, "not_routed", "decision_id")


async def test_the_decision_of_a_chat(product: Product) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": VPN}]}
    product.gateway.enqueue(says("it_support"), says("Restart it."))
    chat = await product.call("POST", "/v1/chat/completions", body)
    product.gateway.enqueue(says("hr"))
    answered = await reroute(product, chat.json()["edgeneuro"]["decision_id"])
    assert agent_of(answered) == "hr"


async def test_with_an_idempotency_key_nothing_is_done_twice(product: Product) -> None:
    decision_id = await first(product)
    product.gateway.enqueue(says("hr"))
    path, headers = f"/v1/decisions/{decision_id}/reroute", {"idempotency-key": "one"}
    once, again = [
        await product.call("POST", path, {"not": ["it_support"]}, headers=headers) for _ in range(2)
    ]
    assert (once.status, once.json()) == (again.status, again.json())
    assert again.headers["idempotent-replayed"] == "true"


async def test_a_decision_that_is_not_written_yet_can_be_asked_for_again(product: Product) -> None:
    headers = {"idempotency-key": "one"}
    path = "/v1/decisions/dec_late/reroute"
    assert (await product.call("POST", path, {}, headers=headers)).status == 404
    decision_id = await first(product)
    product.execute(f"UPDATE logs SET id = 'dec_late' WHERE id = '{decision_id}'")
    product.gateway.enqueue(says("hr"))
    assert agent_of(await product.call("POST", path, {}, headers=headers)) == "hr"


async def test_the_filter_and_what_is_deleted_with_the_rows(product: Product) -> None:
    decision_id = await first(product)
    product.gateway.enqueue(says("hr"))
    await reroute(product, decision_id)
    product.gateway.enqueue(says("general"))
    down = (await product.route("Where is the canteen?")).json()["id"]
    await product.call("POST", "/v1/feedback", {"decision_id": down, "value": "down"})

    async def listed(value: str) -> set[str]:
        page = (await product.call("GET", f"/v1/logs?misrouted={value}")).json()
        return {each["id"] for each in page["data"]}

    assert await listed("true") == {decision_id, down}
    assert len(await listed("false")) == 1
    question = (await entry_of(product, decision_id))["query_hash"]
    assert (await product.call("DELETE", f"/v1/labels/{question}")).status == 200
    assert product.rows("SELECT * FROM signals") == []


async def test_figures_of_models_do_not_count_it(product: Product) -> None:
    """A decision without the wrong agent is easier: audit samples and challengers leave it out."""
    decision_id = await first(product)
    assert (await select(product, GRANITE, challenger=100)).status == 200
    product.gateway.enqueue(says("hr"))
    await reroute(product, decision_id)
    assert product.rows("SELECT * FROM challenger_answers") == []


async def test_accuracy_counts_the_first_decision_alone(product: Product) -> None:
    decision_id = await first(product)
    product.gateway.enqueue(says("hr"))
    await reroute(product, decision_id)
    await product.call("PUT", f"/v1/logs/{decision_id}/label", {"agent_id": "hr"})
    product.clock.seconds += 3_600
    totals = (await product.call("GET", "/v1/analytics")).json()["totals"]
    accuracy = totals["accuracy"]
    assert totals["requests"] == 2
    assert (accuracy["other_labelled"], accuracy["other_right"]) == (1, 0)


async def test_the_router_of_the_decision_decides_again(product: Product) -> None:
    router = {"id": "staff", "agents": ["it_support", "hr"], "default_agent": "hr"}
    assert (await product.call("POST", "/v1/routers", router)).status == 201
    decision_id = await first(product, router="staff")
    product.gateway.enqueue(says("general"))  # that is none of its agents
    answered = await reroute(product, decision_id)
    assert (agent_of(answered), answered.json()["outcome"]) == ("hr", "fallback")
    entry = await entry_of(product, answered.json()["id"])
    assert (entry["router"], entry["candidates"]) == ("staff", ["hr"])
    assert (await product.call("DELETE", "/v1/routers/staff")).status == 200
    assert refused(await reroute(product, answered.json()["id"])) == (
        404,
        "unknown_router",
        "decision_id",
    )


async def test_the_session_remembers_the_agent_that_has_the_turn_now(product: Product) -> None:
    product.gateway.enqueue(says("hr"))
    await product.route("How many days of leave?", session="s1")
    decision_id = await first(product, session="s1")
    before = await entry_of(product, decision_id)
    assert before["context"]["previous_agent"] == "hr"
    product.gateway.enqueue(says("general"))
    answered = await reroute(product, decision_id)
    assert (agent_of(answered), answered.json()["session"]) == ("general", "s1")
    entry = await entry_of(product, answered.json()["id"])
    # The turn before is that of the first decision, not that decision itself.
    assert (entry["context"], entry["query_hash"]) == (before["context"], before["query_hash"])
    session = (await product.call("GET", "/v1/sessions/s1")).json()
    assert (session["agent_id"], session["previous_user"]) == ("general", VPN)
    assert session["turns"] == 2
    assert product.rows("SELECT turns FROM sessions") == [{"turns": 2}]
    product.gateway.enqueue(says("hr"))
    await product.route("And my pay?", session="s1")
    product.gateway.enqueue(says("it_support"))
    late = await reroute(product, answered.json()["id"])
    assert late.json()["session"] is None  # the conversation has gone on
