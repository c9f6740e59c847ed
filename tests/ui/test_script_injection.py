"""Text that would run as a script if a page treated it as HTML, in every field, on every screen."""

import json
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.ui.conftest import Go, settled
from tests.ui.console_guard import ConsoleGuard
from tests.ui.seed_data import ended
from tests.ui.test_screens import SCREENS
from tests.waiting import until

ATTACK = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>\'"--><svg/onload=hit=1>'
_TRACES = """() => [
  window.hit ?? null,
  document.querySelectorAll('img[src="x"], #main script, svg[onload]').length,
]"""


@pytest.fixture(scope="module")
def attacked(seeded: httpx.Client) -> dict[str, str]:
    """An installation with an attack in every text that the API accepts."""
    api = seeded
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
    return {"log": log_id, "lora": lora, "evaluation": evaluation, "run": run, "replay": replay}


def test_no_screen_runs_the_script(page: Page, go: Go, attacked: dict[str, str]) -> None:
    for screen in SCREENS:
        go(screen.format(**attacked))
        page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        assert page.evaluate(_TRACES) == [None, 0], screen


@pytest.mark.parametrize(
    ("screen", "text"), [("agents", "name"), ("models", "id"), ("logs/{log}", "query")]
)
def test_the_text_is_shown_unchanged(
    page: Page, go: Go, attacked: dict[str, str], screen: str, text: str
) -> None:
    go(screen.format(**attacked))
    expect(page.get_by_text(ATTACK).first).to_be_visible()


def test_fields_treat_it_as_text(page: Page, go: Go, attacked: dict[str, str]) -> None:
    """Types the attack into every text field of the forms and filters."""
    for place, opened in (
        ("agents", "Add agent"),
        ("rules", "Add rule"),
        ("providers", "Add provider"),
        ("keys", "Create API key"),
        ("keys/users", "Add user"),
        ("models", "Register model"),
    ):
        go(place)
        page.get_by_role("button", name=opened).first.click()
        dialog = page.get_by_role("dialog")
        for box in dialog.get_by_role("textbox").all():
            box.fill(ATTACK)
        dialog.get_by_role("button").last.click()
        expect(dialog.locator("[aria-busy]")).to_have_count(0)
        assert page.evaluate(_TRACES) == [None, 0], place
    for place in ("logs", "playground", "labeling/bulk", "audit", "models"):
        go(place)
        for box in page.locator("#main").get_by_role("textbox").all():
            box.fill(ATTACK)
            box.press("Enter")
        settled(page)
        assert page.evaluate(_TRACES) == [None, 0], place


def test_the_address_runs_no_script(page: Page) -> None:
    for place in (
        f"#/{ATTACK}",
        f"#/logs/{ATTACK}",
        f"#/logs?q={ATTACK}",
        f"#/playground?q={ATTACK}",
    ):
        page.goto(f"/{place}")
        page.locator("#main h1").first.wait_for()
        assert page.evaluate(_TRACES) == [None, 0], place


def test_the_policy_forbids_inline_script(page: Page, console: ConsoleGuard) -> None:
    console.allow("requires 'TrustedHTML' assignment")
    refused = page.evaluate(
        """() => {
          const part = document.createElement("p");
          try { part.innerHTML = "<b>x</b>"; } catch (error) { return error.name; }
          return null;
        }"""
    )
    assert refused == "TypeError", "trusted types are required"
