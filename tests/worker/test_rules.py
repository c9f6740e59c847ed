"""Rules over HTTP: created, tested, in force, disabled."""

from collections.abc import Iterator

import httpx
import pytest

from tests.http_client import http_client
from tests.worker.product import LocalProduct
from tests.worker.test_route import log_entry, route, unique

RULES = "/v1/rules"


@pytest.fixture
def ruled(sandbox: LocalProduct) -> Iterator[httpx.Client]:
    """A client of a product without rules; those of the test are deleted after it."""
    with http_client(sandbox.base_url, sandbox.admin_token) as client:
        yield client
        for rule in client.get(RULES).json()["data"]:
            client.delete(f"{RULES}/{rule['id']}").raise_for_status()


def test_a_rule_routes_until_it_is_disabled(ruled: httpx.Client) -> None:
    query = unique("My VPN does not connect, wombat")
    before = route(ruled, query)
    assert before["agent"]["id"] == "it_support" and before["layer"] != "rule"
    log_entry(ruled, before["id"])
    body = {"when": {"words": ["Wombat"], "pattern": r"\bvpn\b"}, "then": {"agent_id": "hr"}}

    tested = ruled.post(f"{RULES}/test", json=body).raise_for_status().json()
    assert tested["matched"] == tested["changed"] == 1 and tested["complete"]
    [example] = tested["examples"]
    assert (example["log_id"], example["query"]) == (before["id"], query)
    assert (example["agent_before"], example["agent_after"]) == ("it_support", "hr")

    created = ruled.post(RULES, json=body)
    assert created.status_code == 201
    rule = created.json()
    assert (rule["when"], rule["then"], rule["position"]) == (body["when"], body["then"], 1)
    decision = route(ruled, query, explain=True)
    assert (decision["layer"], decision["agent"]["id"]) == ("rule", "hr")
    assert (decision["confidence"], decision["confidence_source"]) == (1.0, "rule")
    stage = decision["explanation"]["stages"][0]
    assert (stage["name"], stage["outcome"], stage["rules"]) == ("rule", "decided", [rule["id"]])
    entry = log_entry(ruled, decision["id"])
    assert (entry["layer"], entry["stages"][0]["rules"]) == ("rule", [rule["id"]])

    ruled.patch(f"{RULES}/{rule['id']}", json={"enabled": False}).raise_for_status()
    after = route(ruled, query, explain=True)
    assert after["agent"]["id"] == "it_support"
    assert after["explanation"]["stages"][0]["name"] == "label"


def test_a_mention_never_and_prefer(ruled: httpx.Client) -> None:
    for body in (
        {"when": {"metadata": {"channel": "shop"}}, "then": {"never": ["it_support"]}},
        {"when": {"mention": True}},
        {"when": {}, "then": {"prefer": "finance"}},
    ):
        assert ruled.post(RULES, json=body).status_code == 201
    assert route(ruled, "@hr my VPN does not connect")["agent"]["id"] == "hr"
    query = unique("My VPN does not connect")
    assert route(ruled, query)["agent"]["id"] == "it_support"
    shop = route(ruled, query, metadata={"channel": "shop"}, on_no_fit="none")
    assert shop["agent"]["id"] != "it_support"
    nothing = route(ruled, unique("What is the weather on Mars?"))
    assert (nothing["layer"], nothing["reason"]) == ("rule", "preferred_by_rule")
    assert (nothing["agent"]["id"], nothing["confidence"]) == ("finance", None)


def test_a_catastrophic_expression_is_answered_at_once(ruled: httpx.Client) -> None:
    """A backtracking engine would not end within the age of the universe."""
    body = {"when": {"pattern": "(a+)+$"}, "then": {"agent_id": "hr"}}
    assert ruled.post(RULES, json=body).status_code == 201
    assert route(ruled, "a" * 7_990 + "!", cache=False)["layer"] != "rule"
    assert route(ruled, "b" + "a" * 7_990, cache=False)["layer"] == "rule"


def test_what_is_refused(ruled: httpx.Client) -> None:
    for body, param in (
        ({"when": {"pattern": r"(a)\1"}, "then": {"agent_id": "hr"}}, "when.pattern"),
        ({"when": {}, "then": {"agent_id": "nobody"}}, "then.agent_id"),
        ({"when": {}, "then": {"agent_id": "hr"}, "position": 2}, "position"),
        ({"when": {"mention": True}, "then": {"agent_id": "hr"}}, "then"),
    ):
        refused = ruled.post(RULES, json=body)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)
