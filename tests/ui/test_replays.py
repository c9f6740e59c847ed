"""What if: changes are tried on logged queries, and applied by one click."""

import json
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.ui.conftest import Go, Rows, said, setting
from tests.ui.test_screens import check_accessibility
from tests.waiting import until


@pytest.fixture(autouse=True)
def as_it_was(seeded: httpx.Client) -> Iterator[None]:
    yield
    seeded.patch("/v1/config", json={"confidence_threshold": None}).raise_for_status()
    for rule in seeded.get("/v1/rules").json()["data"]:
        seeded.delete(f"/v1/rules/{rule['id']}").raise_for_status()


def add(page: Page, what: str) -> None:
    page.get_by_role("button", name=f"{what} …").click()


def test_changes_are_tried_and_applied(page: Page, go: Go, rows: Rows, api: httpx.Client) -> None:
    query = "A wombat sleeps in the kitchen sink"
    decision = api.post("/v1/route", json={"query": query}).raise_for_status().json()
    until(lambda: rows("SELECT 1 FROM logs WHERE id = ?", decision["id"]))
    go("replays")
    page.get_by_role("link", name="New replay").first.click()
    dialog = page.get_by_role("dialog")
    changes = page.get_by_role("list", name="Changes to try")

    add(page, "Settings")
    dialog.get_by_label("Confidence threshold").fill("0.99")
    dialog.get_by_role("button", name="Add to replay").click()
    expect(changes).to_contain_text("Confidence threshold: 0.99")
    add(page, "Rule")
    dialog.get_by_label("Name").fill("Sinks")
    dialog.get_by_label("Words or phrases").fill("kitchen sink")
    dialog.get_by_label("Agent", exact=True).select_option("hr")
    dialog.get_by_role("button", name="Add to replay").click()
    expect(changes).to_contain_text("New rule Sinks: words: kitchen sink → Human Resources")
    add(page, "Agent")
    dialog.get_by_label("Agent").select_option("it_support")
    dialog.get_by_role("button", name="Continue").click()
    dialog.get_by_label("Description").fill("Printers alone.")
    dialog.get_by_role("button", name="Add to replay").click()
    expect(changes).to_contain_text("Agent it_support: description: Printers alone.")
    page.get_by_role("button", name="Remove Agent it_support").click()
    expect(changes.get_by_role("listitem")).to_have_count(2)
    check_accessibility(page, "replays-new-changes")
    page.set_viewport_size({"width": 1440, "height": 900})

    page.get_by_label("Sample size").fill("6000")
    start = page.get_by_role("button", name="Start replay")
    start.click()
    expect(page.get_by_label("Sample size")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Sample size").fill("5000")
    start.click()

    expect(page.get_by_text("succeeded")).to_be_visible(timeout=120_000)
    matrix = page.get_by_role("region", name="Decisions before and after")
    expect(matrix.get_by_role("columnheader", name="Human Resources")).to_be_visible()
    changed = page.get_by_role("region", name="Changed queries")
    row = changed.get_by_role("row", name=query).first
    expect(row).to_contain_text("rule")
    assert rows("SELECT * FROM rules") == [] and setting(rows, "confidence_threshold") is None

    page.get_by_role("button", name="Apply these changes").click()
    expect(dialog.get_by_text("Confidence threshold")).to_be_visible()
    dialog.get_by_role("button", name="Apply", exact=True).click()
    said(page, "Changes applied.")
    expect(page.get_by_text("applied", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Apply these changes")).to_have_count(0)
    assert setting(rows, "confidence_threshold") == 0.99
    [(conditions,)] = rows("SELECT conditions FROM rules")
    assert json.loads(conditions) == {"words": ["kitchen sink"]}

    page.get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Delete").click()
    said(page, "Replay deleted.")


def test_what_is_refused_is_said(page: Page, go: Go, seeded: httpx.Client) -> None:
    go("replays/new")
    page.get_by_role("button", name="Start replay").click()
    expect(page.get_by_role("alert")).to_contain_text("every query would be routed as it is now")
    replay = seeded.get("/v1/replays").json()["data"][-1]
    seeded.patch("/v1/config", json={"confidence_threshold": 0.6}).raise_for_status()
    rule = {"when": {"words": ["nothing-like-it"]}, "then": {"agent_id": "hr"}, "enabled": False}
    seeded.post("/v1/rules", json=rule).raise_for_status()
    go(f"replays/{replay['id']}")
    expect(page.get_by_text("outdated")).to_be_visible()
    page.get_by_role("button", name="Apply these changes").click()
    page.get_by_role("dialog").get_by_role("button", name="Apply", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Changed since the replay started: rules")


def test_thresholds_are_compared_before_a_replay(page: Page, go: Go, seeded: httpx.Client) -> None:
    body = {"setting": "confidence_threshold"}
    curve = seeded.post("/v1/outcomes/curve", json=body).raise_for_status().json()
    go("replays")
    page.get_by_role("link", name="Thresholds").click()
    values = page.get_by_role("table", name="Outcomes by value")
    expect(values.get_by_role("row")).to_have_count(len(curve["points"]) + 1)
    check_accessibility(page, "replays-thresholds")
    slider = page.get_by_label("Confidence threshold", exact=True)
    slider.press("End")
    decided = page.locator(".figure").filter(has_text="Decided").first
    outcomes = curve["points"][-1]["outcomes"]
    expect(decided).to_contain_text(f"{outcomes['agent'] + outcomes['agents']} of")
    page.get_by_role("link", name="Replay with 1.00").click()
    changes = page.get_by_role("list", name="Changes to try")
    expect(changes).to_contain_text("Confidence threshold: 1")
    go("replays/thresholds?setting=clarify_margin")
    expect(page.get_by_label("Margin between close agents", exact=True)).to_be_visible()
