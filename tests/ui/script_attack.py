"""Text that would run as a script if a page treated it as HTML."""

import json
from typing import Any

import httpx
from playwright.sync_api import Page

from tests.ui.seed_data import ended
from tests.waiting import until

ATTACK = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>\'"--><svg/onload=hit=1>'
_TRACES = """() => [
  window.hit ?? null,
  document.querySelectorAll('img[src="x"], #main script, svg[onload]').length,
]"""


def traces(page: Page) -> list[Any]:
    """What a text that ran has left on the page: whether it has, and its elements."""
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    found: list[Any] = page.evaluate(_TRACES)
    return found


def attack(api: httpx.Client) -> dict[str, str]:
    """Puts it into every text that the API accepts. Returns the IDs of what has a screen."""
    agent = {
        "id": "attacker",
        "name": ATTACK,
        "description": ATTACK,
        "examples": [ATTACK],
        "system_prompt": ATTACK,
        "model": ATTACK,
    }
    api.post("/v1/agents", json=agent).raise_for_status()
    model = {"id": ATTACK, "type": "base", "aliases": [f"alias {ATTACK}"]}
    api.post("/v1/models", json=model).raise_for_status()
    user = {"email": "attack@example.com", "name": ATTACK, "role": "viewer"}
    api.post("/v1/users", json=user).raise_for_status()
    key = {"name": ATTACK[:100], "scopes": ["read"]}
    api.post("/v1/keys", json=key).raise_for_status()
    provider = {"id": "attacked", "kind": "openai", "models": [ATTACK]}
    api.post("/v1/providers", json=provider).raise_for_status()
    body = {
        "query": ATTACK,
        "user": ATTACK,
        "session": ATTACK,
        "metadata": {ATTACK[:60]: ATTACK},
    }
    decision: dict[str, Any] = api.post("/v1/route", json=body).raise_for_status().json()
    log_id: str = decision["id"]
    until(lambda: api.get(f"/v1/logs/{log_id}").is_success)
    feedback = {"decision_id": log_id, "value": "down", "comment": ATTACK}
    api.post("/v1/feedback", json=feedback).raise_for_status()
    label = {"agent_id": "attacker", "note": ATTACK}
    api.put(f"/v1/logs/{log_id}/label", json=label).raise_for_status()
    lora = api.get("/v1/loras").json()["data"][0]["id"]
    evaluation = api.get("/v1/evaluations").json()["data"][0]["id"]
    tests = [{"query": ATTACK, "expect": "hr", "name": ATTACK}]
    api.put("/v1/routing-tests", content=json.dumps(tests).encode()).raise_for_status()
    run = api.post("/v1/routing-tests/runs", json={}).raise_for_status().json()["id"]
    ended(api, f"/v1/routing-tests/runs/{run}")
    router = {"id": "attacked", "name": ATTACK[:100]}
    api.post("/v1/routers", json=router).raise_for_status()
    team = {"name": ATTACK[:100]}
    api.post("/v1/teams", json=team).raise_for_status()
    rule = {"name": ATTACK[:100], "when": {"words": [ATTACK]}, "then": {"agent_id": "attacker"}}
    begun = api.post(
        "/v1/replays", json={"from": "2020-01-01", "changes": {"rules": [rule]}}
    ).raise_for_status()
    replay = begun.json()["id"]
    ended(api, f"/v1/replays/{replay}")
    return {
        "log": log_id,
        "agent": "attacker",
        "lora": lora,
        "evaluation": evaluation,
        "run": run,
        "replay": replay,
    }
