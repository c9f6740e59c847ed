"""The list of logs: requests beside it, filters, views, the time range, and the live tail."""

import re

import httpx
from playwright.sync_api import Locator, Page, expect

from tests.ui.conftest import Go, Rows, open_again, said
from tests.ui.test_screens import violations
from tests.waiting import until


def logged(api: httpx.Client, rows: Rows, query: str) -> str:
    decision = api.post("/v1/route", json={"query": query, "cache": False}).raise_for_status()
    log_id: str = decision.json()["id"]
    until(lambda: rows("SELECT 1 FROM logs WHERE id = ?", log_id))
    return log_id


def panel(page: Page) -> Locator:
    return page.get_by_role("region", name="Selected request")


def link(page: Page, query: str) -> Locator:
    return page.get_by_role("link", name=query)


def chip(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=f"Remove the filter {name}")


def test_requests_are_read_and_marked_beside_the_list(
    page: Page, go: Go, rows: Rows, api: httpx.Client
) -> None:
    one, other = "The first marmot wants a badge", "The second marmot wants a badge"
    first, second = logged(api, rows, one), logged(api, rows, other)
    go("logs?q=marmot")
    link(page, other).focus()
    page.keyboard.press("Enter")
    expect(panel(page).get_by_role("heading", name="Latency breakdown")).to_be_visible()
    expect(page).to_have_url(re.compile(f"request={second}"))
    assert violations(page) == []
    page.keyboard.press("j")
    expect(panel(page)).to_contain_text(one)
    expect(page).to_have_url(re.compile(f"request={first}"))
    page.keyboard.press("ArrowUp")
    expect(panel(page)).to_contain_text(other)
    page.get_by_label("Search queries").press("j")  # a field takes the key
    expect(page.get_by_label("Search queries")).to_have_value("jmarmot")
    expect(panel(page)).to_contain_text(other)
    page.get_by_label("Search queries").fill("marmot")
    expect(page).to_have_url(re.compile("q=marmot&"))
    open_again(page)
    expect(panel(page)).to_contain_text(other)

    page.locator("#main").press("m")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Correct agent").select_option("legal")
    dialog.get_by_role("button", name="Mark").click()
    said(page, "Marked as misrouted.")
    sql = "SELECT value, correct_agent FROM feedback WHERE decision_id = ?"
    assert rows(sql, second) == [("down", "legal")]
    row = page.get_by_role("row", name=other)
    expect(row.get_by_text("misrouted")).to_be_visible()
    panel(page).get_by_role("button", name="Remove the mark as misrouted").click()
    expect(row.get_by_text("misrouted")).to_have_count(0)
    assert rows(sql, second) == []

    page.keyboard.press("Escape")
    expect(panel(page)).to_have_count(0)
    expect(link(page, other)).to_be_focused()
    link(page, one).click()
    expect(panel(page)).to_contain_text(one)
    page.go_back()
    expect(panel(page)).to_have_count(0)
    expect(page).to_have_url(re.compile(r"logs\?q=marmot$"))


def test_filters_are_shown_removed_and_saved_as_a_view(
    page: Page, go: Go, rows: Rows, api: httpx.Client
) -> None:
    logged(api, rows, "A capybara wants a badge")
    go("logs?q=capybara")
    page.get_by_label("Time", exact=True).select_option("Last hour")
    expect(chip(page, "Time: Last hour")).to_be_visible()
    page.get_by_role("button", name="Save view").click()
    page.get_by_role("dialog").get_by_label("Name").fill("Capybaras")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    views = page.get_by_role("navigation", name="Views")
    expect(views.get_by_role("link", name="Capybaras")).to_have_attribute("aria-current", "true")
    views.get_by_role("link", name="Errors").click()
    expect(chip(page, "Error: Yes")).to_be_visible()
    expect(page).to_have_url(re.compile(r"logs\?error=true$"))
    views.get_by_role("link", name="Capybaras").click()
    expect(page.get_by_role("row")).to_have_count(2)
    chip(page, "Time: Last hour").click()
    expect(page).to_have_url(re.compile(r"logs\?q=capybara$"))
    views.get_by_role("button", name="Delete the view Capybaras").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(views.get_by_role("link", name="Capybaras")).to_have_count(0)

    chart = page.get_by_role("slider", name="Requests over time")
    chart.focus()
    expect(chart).to_have_attribute("aria-valuetext", re.compile("request"))
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Enter")
    expect(chip(page, "Time:")).to_be_visible()
    expect(page).to_have_url(re.compile("from=.*to="))
    page.get_by_role("button", name="Clear all").click()
    expect(page.get_by_label("Search queries")).to_have_value("")
    expect(page).to_have_url(re.compile("logs$"))


def test_new_requests_appear_and_wait_while_one_is_read(
    page: Page, go: Go, rows: Rows, api: httpx.Client
) -> None:
    logged(api, rows, "The first otter")
    go("logs?q=otter")
    logged(api, rows, "The second otter")
    tail = page.get_by_role("switch", name="Live tail")
    tail.check()
    row = page.get_by_role("row")
    expect(row.nth(1)).to_contain_text("The second otter")
    expect(row).to_have_count(3)
    tail.uncheck()
    link(page, "The first otter").click()
    logged(api, rows, "The third otter")
    tail.check()
    page.get_by_role("button", name="Show 1 new request").click()
    expect(row.nth(1)).to_contain_text("The third otter")
    expect(panel(page)).to_contain_text("The first otter")
