"""What is on every screen: the command palette, the shortcuts, the guard of unsaved input."""

import re

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.ui.conftest import (
    Go,
    Rows,
    enter_key,
    said,
    setting,
    settled,
    shown,
    sign_out,
)
from tests.ui.test_screens import SCREENS, violations

PALETTE = "ControlOrMeta+K"
VIEWER = {"email": "viewer@example.com", "name": "Viewer", "role": "viewer"}


@pytest.fixture
def palette(page: Page, go: Go, seeded: httpx.Client) -> Locator:
    """Opened with its keys, from within a field."""
    go("models")
    page.get_by_label("Search", exact=True).focus()
    page.keyboard.press(PALETTE)
    field = page.get_by_role("combobox", name="Search everything")
    expect(field).to_be_focused()
    return field


def test_the_command_palette(page: Page, palette: Locator, seeded: httpx.Client) -> None:
    results = page.get_by_role("listbox", name="Results")
    options = results.get_by_role("option")
    chosen = results.get_by_role("option", selected=True)
    expect(chosen).to_have_text("OverviewScreen")
    palette.fill("it sup")
    expect(chosen).to_have_text("IT SupportAgent")
    assert violations(page) == []
    page.keyboard.press("Enter")
    settled(page)
    crumbs = page.get_by_role("navigation", name="Breadcrumbs")
    expect(crumbs).to_have_text("AgentsIT Supportit_support")
    expect(page).to_have_title("IT Support · Agents · EdgeNeuro")

    page.get_by_role("button", name="Search everything").click()
    for typed in ("rout te", "rtests"):  # parts of words, and letters in their order
        palette.fill(typed)
        expect(options.first).to_have_text("Routing testsScreen")
    palette.fill("zzz")
    expect(chosen).to_have_text("Requests with the words “zzz”Logs")
    page.keyboard.press("ArrowUp")
    expect(chosen).to_have_text("Requests of the user “zzz”Logs")
    [log] = seeded.get("/v1/logs?limit=1").json()["data"]
    palette.fill(log["id"])
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"#/logs/{log['id']}$"))
    expect(crumbs.get_by_role("button", name=f"Copy {log['id']}")).to_be_visible()

    page.keyboard.press(PALETTE)
    expect(options.first).to_have_text("IT SupportAgent · recent")
    job = seeded.get("/v1/jobs?kind=evaluation").json()["data"][0]
    palette.fill(job["id"])
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(rf"#/evaluations/{job['resource_id']}(\?|$)"))


def test_the_list_of_shortcuts(page: Page, go: Go) -> None:
    go("labeling")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(dialog.get_by_role("heading", level=3)).to_have_text(
        ["Labeling", "Everywhere", "Open a screen"]
    )
    expect(dialog).to_contain_text("Skip")
    page.keyboard.press("s")  # no shortcut while a dialog is open
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("m")
    expect(page.get_by_role("heading", name="Models", level=1)).to_be_visible()
    page.keyboard.press("?")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("heading", name="Labeling")).to_have_count(0)


def test_unsaved_input_is_not_dropped(page: Page, go: Go, rows: Rows) -> None:
    go("settings")
    retries = page.get_by_label("Retries per model")
    before = retries.input_value()
    retries.fill("3")
    page.get_by_role("link", name="Logs", exact=True).click()
    dialog = page.get_by_role("dialog", name="Leave without saving?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(page).to_have_url(re.compile("#/settings$"))
    expect(retries).to_have_value("3")
    assert page.evaluate("dispatchEvent(new Event('beforeunload', { cancelable: true }))") is False
    page.locator("form", has=retries).get_by_role("button", name="Save").click()
    said(page, "Routing: saved.")
    assert setting(rows, "max_retries") == 3
    page.get_by_role("button", name="Reset Retries per model").click()
    said(page, "“Retries per model” reset.")
    expect(retries).to_have_value(before)

    retries.fill("2")
    page.go_back()
    dialog.get_by_role("button", name="Discard changes").click()
    expect(page.get_by_role("heading", name="Page not found")).to_be_visible()
    assert setting(rows, "max_retries") is None


def test_screens_with_data_for_those_who_may_not_change_it(
    signed_out: Page, attacked: dict[str, str], api: httpx.Client
) -> None:
    """The guard of the console fails the test if a screen asks for what the key may not see."""
    user = api.post("/v1/users", json=VIEWER).json()
    page = signed_out
    for scope, owner, left_out in (
        ("read", user["id"], ()),
        ("label", None, ("models", "costs", "replays", "routing_tests", "adapters", "routers")),
        ("route", None, ()),
    ):
        body = {"name": f"Full {scope}", "scopes": [scope], "user_id": owner}
        enter_key(page, api.post("/v1/keys", json=body).raise_for_status().json()["key"])
        expect(page.locator(".account-name")).to_have_text(f"Full {scope}")
        links = page.get_by_role("navigation", name="Screens").get_by_role("link")
        allowed = {link.get_attribute("data-screen") for link in links.all()} - set(left_out)
        for screen in SCREENS:
            if screen.partition("/")[0] not in allowed:
                continue
            page.goto(f"/#/{screen.format(**attacked)}")
            settled(page)
            place = f"{screen} with a key of the scope {scope}"
            state = shown(page)
            assert (state["titles"], state["alerts"]) == (1, 0), place
        page.keyboard.press(PALETTE)
        page.get_by_role("combobox", name="Search everything").fill("o")
        found = page.get_by_role("listbox", name="Results")
        expect(found.get_by_text("Logs", exact=True)).to_have_count(int(scope != "route"))
        expect(found.get_by_text("Providers")).to_have_count(0)
        page.keyboard.press("Escape")
        sign_out(page)
