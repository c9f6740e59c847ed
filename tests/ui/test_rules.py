"""Rules: tested before they are saved, ordered, changed and deleted."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.ui.conftest import Go, Rows, said
from tests.ui.test_screens import check_accessibility


@pytest.fixture(autouse=True)
def no_rules_left(api: httpx.Client) -> Iterator[None]:
    """They would route the queries of other tests."""
    yield
    for rule in api.get("/v1/rules").json()["data"]:
        api.delete(f"/v1/rules/{rule['id']}").raise_for_status()


def names(api: httpx.Client) -> list[str]:
    return [each["name"] for each in api.get("/v1/rules").json()["data"]]


def create(api: httpx.Client, name: str, **when: Any) -> None:
    body = {"name": name, "when": when or {"words": ["nothing-like-it"]}, "enabled": False}
    api.post("/v1/rules", json=body | {"then": {"agent_id": "hr"}}).raise_for_status()


def test_a_rule_is_tested_and_saved(page: Page, go: Go, rows: Rows, seeded: httpx.Client) -> None:
    go("rules")
    page.get_by_role("button", name="Add rule").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Sinks")
    dialog.get_by_label("Words or phrases").fill("kitchen sink\nbath tub")
    dialog.get_by_label("Regular expression").fill("(?=a)")
    dialog.get_by_label("Agent", exact=True).select_option("hr")
    test = dialog.get_by_role("button", name="Test against the last 1,000 queries")
    test.click()
    expect(dialog.get_by_label("Regular expression")).to_have_attribute("aria-invalid", "true")
    expect(dialog.get_by_text("no look-ahead or look-behind")).to_be_visible()
    dialog.get_by_label("Regular expression").fill(r"our \w+")
    test.click()
    examples = dialog.get_by_role("table")
    row = examples.get_by_role("row", name="The kitchen sink on our floor").first
    expect(row).to_contain_text("hr")
    expect(dialog.get_by_text("Decisions that change")).to_be_visible()
    check_accessibility(page, "rules-test")
    assert rows("SELECT * FROM rules") == []
    dialog.get_by_role("button", name="Save").click()
    said(page, "Rule 1 saved.")
    [(conditions, effect)] = rows("SELECT conditions, effect FROM rules")
    assert json.loads(conditions) == {"words": ["kitchen sink", "bath tub"], "pattern": r"our \w+"}
    assert json.loads(effect) == {"agent_id": "hr"}
    body = {"query": "our kitchen sink again"}
    assert seeded.post("/v1/route", json=body).json()["layer"] == "rule"
    check_accessibility(page, "rules-list")


def test_a_rule_that_holds_for_everything_is_warned_of(page: Page, go: Go, seeded: object) -> None:
    go("rules")
    page.get_by_role("button", name="Add rule").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Effect").select_option("never")
    expect(dialog.get_by_label("Agent", exact=True)).to_be_hidden()
    dialog.get_by_label("Human Resources").check()
    dialog.get_by_role("button", name="Test against").click()
    expect(dialog.get_by_text("it holds for every message")).to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()


def test_the_effects_and_metadata_stay_as_they_are(page: Page, go: Go, api: httpx.Client) -> None:
    metadata = {"plan": "pro", "seats": 5, "code": "5", "vip": True}
    body = {"name": "All", "when": {"metadata": metadata}, "then": {"never": ["hr", "finance"]}}
    made = api.post("/v1/rules", json=body).raise_for_status().json()
    go("rules")
    page.get_by_role("button", name="Edit All").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Metadata")).to_have_value(
        'plan = pro\nseats = 5\ncode = "5"\nvip = true'
    )
    dialog.get_by_label("Effect").select_option("mentioned")
    dialog.get_by_role("button", name="Save").click()
    said(page, "Rule 1 saved.")
    changed = api.get(f"/v1/rules/{made['id']}").json()
    assert changed["when"] == {"mention": True, "metadata": metadata}
    assert changed["then"] is None


def test_the_order_is_changed_by_buttons_keys_and_dragging(
    page: Page, go: Go, api: httpx.Client
) -> None:
    for name in ("First", "Second", "Third"):
        create(api, name)
    go("rules")
    page.get_by_role("button", name="Move Third up").click()
    said(page, "Third moved to position 2 of 3.")
    assert names(api) == ["First", "Third", "Second"]
    item = page.get_by_role("listitem", name="2. Third")
    expect(item).to_be_focused()
    item.press("ArrowUp")
    said(page, "Third moved to position 1 of 3.")
    assert names(api) == ["Third", "First", "Second"]
    items = page.get_by_role("list", name="Rules in order").get_by_role("listitem")
    items.nth(0).drag_to(items.nth(2))
    said(page, "Third moved to position 3 of 3.")
    assert names(api) == ["First", "Second", "Third"]


def test_a_rule_is_deleted(page: Page, go: Go, api: httpx.Client) -> None:
    create(api, "Old")
    go("rules")
    expect(page.get_by_text("disabled")).to_be_visible()
    page.get_by_role("button", name="Delete Old").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    said(page, "Old deleted.")
    expect(page.get_by_text("No rules yet")).to_be_visible()
    assert names(api) == []
