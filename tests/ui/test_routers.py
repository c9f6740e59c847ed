"""Routers and teams in the pages: created, changed, used and deleted."""

import json
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.ui.conftest import Go, Rows, said
from tests.waiting import until


@pytest.fixture(autouse=True)
def nothing_left(api: httpx.Client) -> Iterator[None]:
    yield
    for path in ("/v1/teams", "/v1/rules", "/v1/routers"):
        for each in api.get(path).json()["data"]:
            if each.get("name") in ("Office", "Office people", "Leave"):
                api.delete(f"{path}/{each['id']}").raise_for_status()


def create(api: httpx.Client) -> None:
    body = {"id": "office", "name": "Office", "agents": ["hr", "finance"], "default_agent": "hr"}
    api.post("/v1/routers", json=body).raise_for_status()


def test_a_router_is_created_changed_and_deleted(page: Page, go: Go, rows: Rows) -> None:
    go("routers")
    page.get_by_role("button", name="Add router").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("ID", exact=True).fill("office")
    dialog.get_by_label("Name").fill("Office")
    dialog.get_by_label("Human Resources").check()
    dialog.get_by_label("Fallback agent").select_option("finance")
    dialog.get_by_label("Confidence threshold").fill("0.9")
    dialog.get_by_role("button", name="Save").click()
    error = dialog.get_by_text("'finance' is not among the router's agents")
    expect(error).to_be_visible()
    expect(dialog.get_by_label("Fallback agent")).to_be_focused()
    dialog.get_by_label("Finance").check()
    dialog.get_by_role("button", name="Save").click()
    said(page, "Office saved.")
    sql = "SELECT agents, default_agent, settings FROM routers WHERE id = 'office'"
    [(agents, default, settings)] = rows(sql)
    assert sorted(json.loads(agents)) == ["finance", "hr"] and default == "finance"
    assert json.loads(settings) == {"confidence_threshold": 0.9}

    card = page.get_by_role("article", name="Office")
    expect(card).to_contain_text("auto:office")
    card.get_by_role("button", name="Edit Office").click()
    dialog.get_by_label("Confidence threshold").fill("")
    dialog.get_by_label("If no agent is found").select_option("none")
    dialog.get_by_label("Ask if agents are close").select_option("Yes")
    dialog.get_by_role("button", name="Save").click()
    expect(card).to_contain_text("If no agent is found")
    assert json.loads(rows(sql)[0][2]) == {"on_no_fit": "none", "clarify": True}
    card.get_by_role("button", name="Edit Office").click()
    expect(dialog.get_by_label("Ask if agents are close")).to_have_value("true")
    dialog.get_by_label("Ask if agents are close").select_option("No")
    dialog.get_by_role("button", name="Save").click()
    expect(card).to_contain_text("false")
    assert json.loads(rows(sql)[0][2]) == {"on_no_fit": "none", "clarify": False}

    card.get_by_role("button", name="Delete Office").click()
    dialog.get_by_role("button", name="Delete").click()
    said(page, "Office deleted.")
    assert rows(sql) == []


@pytest.mark.usefixtures("seeded")
def test_a_router_is_used_in_playground_rules_and_logs(
    page: Page, go: Go, rows: Rows, api: httpx.Client
) -> None:
    create(api)
    go("rules")
    page.get_by_role("button", name="Add rule").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Leave")
    dialog.get_by_label("Words or phrases").fill("platypus")
    dialog.get_by_label("Agent", exact=True).select_option("finance")
    dialog.get_by_label("Router").select_option("office")
    dialog.get_by_role("button", name="Save").click()
    said(page, "Rule 1 saved.")
    expect(page.get_by_text("router office")).to_be_visible()

    go("playground")
    page.get_by_label("Query").fill("A platypus needs leave")
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Router").select_option("office")
    page.get_by_role("button", name="Route", exact=True).click()
    expect(page.get_by_role("heading", name="Finance")).to_be_visible()
    sql = "SELECT router FROM logs WHERE query LIKE '%platypus%'"
    [(router,)] = until(lambda: rows(sql))
    assert router == "office"

    go("logs?router=office")
    expect(page.get_by_label("Router")).to_have_value("office")
    page.get_by_role("link", name="A platypus needs leave").click()
    expect(page.get_by_text("office", exact=True)).to_be_visible()


def test_a_team_is_created_joined_and_kept_while_it_has_members(
    page: Page, go: Go, rows: Rows, api: httpx.Client
) -> None:
    create(api)
    go("keys/teams")
    page.get_by_role("button", name="Add team").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Office people")
    dialog.get_by_label("Allowed agents").fill("hr\nnobody")
    dialog.get_by_label("Router").select_option("office")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_text("there is no agent 'nobody'")).to_be_visible()
    dialog.get_by_label("Allowed agents").fill("hr")
    dialog.get_by_role("button", name="Save").click()
    said(page, "Office people saved.")

    go("keys")
    page.get_by_role("button", name="Create API key").click()
    dialog.get_by_label("Name").fill("office key")
    dialog.get_by_label("Team").select_option(label="Office people")
    dialog.get_by_role("button", name="Create").click()
    page.get_by_role("button", name="Done").click()
    row = page.get_by_role("row", name="office key")
    expect(row).to_contain_text("Office people")

    go("keys/teams")
    page.get_by_role("button", name="Delete Office people").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog.get_by_text("The team has members")).to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()
    [(key_id,)] = rows("SELECT id FROM keys WHERE name = 'office key'")
    api.delete(f"/v1/keys/{key_id}").raise_for_status()
