"""Mistakes of users and of the network must not have unwanted effects."""

import json
from pathlib import Path

import httpx
from playwright.sync_api import Page, Route, expect

from tests.ui.conftest import Go, Rows, quiet, said, setting, settled
from tests.ui.console_guard import ConsoleGuard
from tests.ui.seed_data import ACTIVE, OTHER


def test_an_invalid_number_selects_nothing(page: Page, go: Go, rows: Rows) -> None:
    go("models")
    page.get_by_role("button", name=f"Select {OTHER}").click()
    share = page.get_by_role("dialog").get_by_label("Run as challenger")
    share.press_sequentially("1e")
    page.get_by_role("dialog").get_by_role("button", name="Select", exact=True).click()
    expect(share).to_have_attribute("aria-invalid", "true")
    expect(share).to_be_focused()
    assert setting(rows, "routing_model") is None
    assert setting(rows, "challenger") is None


def test_an_invalid_number_removes_no_limit(
    page: Page, go: Go, rows: Rows, api: httpx.Client
) -> None:
    key = {"name": "Limited", "scopes": ["route"], "requests_per_minute": 7}
    api.post("/v1/keys", json=key).raise_for_status()
    go("keys")
    page.get_by_role("button", name="Edit Limited").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Rate limit").fill("")
    dialog.get_by_label("Rate limit").press_sequentially("8e")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_label("Rate limit")).to_have_attribute("aria-invalid", "true")
    found = rows("SELECT requests_per_minute FROM keys WHERE name = 'Limited'")
    assert found == [(7,)]


def test_a_new_key_is_shown_whatever_is_pressed(page: Page, go: Go) -> None:
    waiting: list[Route] = []
    page.route("**/v1/keys", lambda route: waiting.append(route))
    go("keys")
    page.get_by_role("button", name="Create API key").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill("Hasty")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.locator("[aria-busy=true]")).to_be_visible()
    for _ in range(3):
        page.keyboard.press("Escape")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_visible()
    for route in waiting:
        route.continue_()
    expect(page.locator(".secret")).to_contain_text("en_")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.locator(".secret")).to_be_visible()
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_first_escape_keeps_the_typed_text(page: Page, go: Go) -> None:
    go("agents")
    page.get_by_role("button", name="Add agent").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Typed with care")
    page.keyboard.press("Escape")
    expect(dialog.get_by_label("Name")).to_have_value("Typed with care")
    said(page, "Press Escape again")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_signing_out_ends_the_screen(
    page: Page, go: Go, api: httpx.Client, writes: list[str]
) -> None:
    api.post("/v1/route", json={"query": "My badge is lost, said Mary"}).raise_for_status()
    go("labeling")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key", exact=True)).to_be_visible()
    page.locator("body").press("3")
    quiet(page)
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert writes == []


def test_a_retired_model_that_is_edited_stays_retired(
    page: Page, go: Go, rows: Rows, api: httpx.Client
) -> None:
    model = {"id": "@cf/example/old-1b", "type": "base"}
    api.post("/v1/models", json=model).raise_for_status()
    api.delete("/v1/models/@cf/example/old-1b").raise_for_status()
    go("models")
    page.get_by_role("button", name="Edit @cf/example/old-1b").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Input price").fill("1")
    dialog.get_by_role("button", name="Save").click()
    out = dialog.get_by_label("Output price")
    expect(out).to_have_attribute("aria-invalid", "true")
    out.fill("2")
    dialog.get_by_role("button", name="Save").click()
    said(page, "@cf/example/old-1b saved.")
    found = rows("SELECT status, input_price FROM models WHERE id = '@cf/example/old-1b'")
    assert found == [("retired", 1.0)]


def test_saving_one_group_of_settings_keeps_what_is_typed_in_another(page: Page, go: Go) -> None:
    go("settings")
    page.get_by_label("Log retention (days)", exact=True).fill("44")
    page.get_by_label("Retries per model").fill("2")
    routing = page.locator("section", has=page.get_by_role("heading", name="Routing"))
    routing.get_by_role("button", name="Save").click()
    said(page, "Routing: saved.")
    expect(page.get_by_label("Log retention (days)", exact=True)).to_have_value("44")
    page.get_by_role("button", name="Reset Retries per model").click()
    said(page, "” reset.")
    expect(page.get_by_label("Log retention (days)", exact=True)).to_have_value("44")


def test_a_slow_click_on_what_was_searched_opens_it(page: Page, go: Go, api: httpx.Client) -> None:
    query = "Where is the xylophone of the sales team"
    api.post("/v1/route", json={"query": query}).raise_for_status()
    go("logs")
    page.get_by_label("Search queries").press_sequentially("xylophone")
    expect(page.get_by_role("row")).to_have_count(2)
    page.get_by_role("link", name=query).click(delay=200)  # during which the field loses the focus
    expect(page.get_by_role("heading", name="Request", exact=True)).to_be_visible()


def test_a_search_does_not_run_after_leaving_the_screen(page: Page, go: Go) -> None:
    go("logs")
    page.get_by_label("Search queries").press_sequentially("vpn")
    page.get_by_role("link", name="Agents", exact=True).click()
    settled(page)
    quiet(page)
    assert page.url.endswith("#/agents")


def test_a_screen_that_could_not_be_loaded_is_loaded_again(
    page: Page, console: ConsoleGuard
) -> None:
    console.allow("screens/audit.js")
    page.route("**/screens/audit.js", lambda route: route.abort())
    page.goto("/#/audit")
    page.reload()  # another test may have loaded the screen
    settled(page)
    expect(page.get_by_role("alert")).to_contain_text("This screen could not be loaded.")
    page.unroute("**/screens/audit.js")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("table", name="Changes")).to_be_visible()


def test_names_of_former_columns_take_no_choices(page: Page, go: Go, tmp_path: Path) -> None:
    """Nor do other choices meanwhile keep those of the new columns from coming."""
    file = tmp_path / "trams.jsonl"
    file.write_text(json.dumps({"asked": "Tram to town?", "topic": "Trams", "line": "Blue"}))
    go("datasets")
    page.get_by_label("File", exact=True).set_input_files(file)
    names = page.get_by_role("region", name="Names without an agent")
    expect(names.get_by_role("group", name="Trams")).to_be_visible()
    waiting: list[Route] = []
    page.route("**/v1/datasets/import/preview", lambda route: waiting.append(route))
    page.get_by_label("Use of the column line").select_option("agent")
    expect(page.get_by_text("Reading the file …")).to_be_visible()
    expect(names).to_have_count(0)
    check = page.get_by_role("button", name="Check")
    expect(check).to_be_hidden()
    page.get_by_label("Keep split").uncheck()
    waiting.pop().abort()
    page.get_by_role("alert").get_by_role("button", name="Try again").click()
    expect(page.get_by_text("Reading the file …")).to_be_visible()
    expect(names).to_have_count(0)
    page.get_by_label("Use of the column topic").select_option("source")
    waiting.pop().continue_()
    expect(names.get_by_role("group", name="Blue")).to_be_visible()
    expect(names.get_by_role("group", name="Trams")).to_have_count(0)
    expect(check).to_be_enabled()


def test_a_wide_range_shows_single_hours(page: Page, go: Go, seeded: httpx.Client) -> None:
    """A line needs two points; a single busy hour of 168 is drawn as a point."""
    go("analytics?range=7d")
    chart = page.locator(".chart", has=page.get_by_text("p95"))
    chart.locator(".u-wrap").wait_for()
    drawn = page.evaluate(
        """() => [...document.querySelectorAll('.chart canvas')].map((canvas) => {
          const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
          const colors = new Set();
          for (let at = 0; at < data.length; at += 4)
            if (data[at + 3] > 200) colors.add(`${data[at]},${data[at + 1]},${data[at + 2]}`);
          return colors.size;
        })"""
    )
    assert min(drawn) > 3, "each chart draws more than its grid and axes"


def test_the_active_model_stays_if_the_other_one_is_retired(
    page: Page, go: Go, rows: Rows, api: httpx.Client
) -> None:
    api.post("/v1/models", json={"id": "@cf/example/gone", "type": "base"}).raise_for_status()
    go("models")
    api.delete("/v1/models/@cf/example/gone").raise_for_status()
    page.get_by_role("button", name="Select @cf/example/gone").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Select", exact=True).click()
    expect(dialog.get_by_role("alert").last).to_contain_text("retired")
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text(ACTIVE).first).to_be_visible()
    assert setting(rows, "routing_model") is None


def test_a_bookmark_of_a_renamed_screen_opens_it(page: Page, go: Go) -> None:
    go("labelling/random")
    expect(page.get_by_role("heading", name="Labeling", level=1)).to_be_visible()
    current = page.get_by_role("navigation", name="Labeling").locator("[aria-current]")
    expect(current).to_have_text("Random sample")
