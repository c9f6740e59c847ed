"""The outcomes in the pages: sliders over logged decisions, many queries at once, a clarifying
question and the reply to it, the logs."""

import csv
import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tests.ui.conftest import Go, Rows, said, setting
from tests.ui.test_screens import NARROW, check_accessibility
from tests.waiting import until

CLEF = "@cf/cloudflare/clef"
# The emulated decision model compares words: these have as much of one agent as of the other.
QUERIES = ("VPN and vacation", "password and salary payslip", "laptop and vacation leave")


@pytest.fixture(autouse=True)
def usual_settings(api: httpx.Client) -> Iterator[None]:
    yield
    names = ("routing_model", "clarify", "clarify_margin", "several", "confidence_threshold")
    api.patch("/v1/config", json=dict.fromkeys(names)).raise_for_status()


@pytest.fixture
def close(seeded: httpx.Client) -> list[str]:
    """Logged decisions of a decision model, and the queries of those that a question is for."""
    seeded.post("/v1/models/select", json={"model_id": CLEF}).raise_for_status()
    found = []
    for query in QUERIES:
        body = {"query": query, "policy": {"clarify": True}}
        decision = seeded.post("/v1/route", json=body).raise_for_status().json()
        if decision["outcome"] == "clarify":
            found.append(query)
    assert found, "the emulated model is surer of these queries than it was"
    return found


def test_sliders_show_what_logged_decisions_come_to(
    page: Page, go: Go, rows: Rows, close: list[str]
) -> None:
    go("playground")
    page.get_by_role("link", name="Outcomes").click()
    preview = page.get_by_role("region", name="Preview", exact=True)
    status = preview.get_by_role("status")
    expect(status).to_contain_text("0 decisions of")
    save = page.get_by_role("button", name="Save as settings")
    expect(save).to_be_disabled()
    page.get_by_label("Ask if agents are close").check()
    examples = preview.get_by_role("table", name="change")
    row = examples.get_by_role("row", name=close[0])
    expect(row).to_contain_text("Clarifying question: ")
    expect(preview.locator(".bars").last).to_contain_text("Clarifying question")
    labelled = preview.get_by_role("table", name="labeled decision")
    expect(labelled.get_by_role("row", name="With these settings")).to_be_visible()
    check_accessibility(page, "playground-outcomes")

    margin = page.get_by_label("Margin between close agents")
    expect(margin).to_have_value("0.15")
    margin.press("Home")
    expect(margin).to_have_value("0")
    expect(examples.get_by_role("row", name=close[0])).to_have_count(0)
    margin.fill("0.3")
    expect(row).to_contain_text("Clarifying question: ")
    page.set_viewport_size({"width": NARROW, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW
    page.set_viewport_size({"width": 1440, "height": 900})

    save.click()
    said(page, "Settings saved.")
    assert (setting(rows, "clarify"), setting(rows, "clarify_margin")) == (True, 0.3)
    expect(page.get_by_label("Ask if agents are close")).to_be_checked()
    expect(status).to_contain_text("0 decisions of")
    expect(save).to_be_disabled()


def test_a_clarifying_question_in_playground_and_logs(page: Page, go: Go, close: list[str]) -> None:
    go("playground")
    page.get_by_label("Query").fill(close[0])
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Clarifying question").select_option("Allow")
    page.get_by_role("button", name="Route", exact=True).click()
    expect(page.get_by_role("heading", name="Clarifying question")).to_be_visible()
    expect(page.locator("p", has_text="Which of these should help you?")).to_be_visible()
    check_accessibility(page, "playground-question")
    page.get_by_role("link", name="View log").click()
    expect(page.get_by_text("a clarifying question instead")).to_be_visible()
    go("logs")
    page.get_by_label("Outcome").select_option("Clarifying question")
    row = page.get_by_role("row", name=close[0]).first
    expect(row).to_contain_text("Clarifying question")
    expect(page.get_by_role("row", name="My VPN does not connect")).to_have_count(0)


def test_many_queries_wait_for_the_rate_limit_and_are_stopped(page: Page, go: Go) -> None:
    page.route(
        "**/v1/route",
        lambda route: route.fulfill(
            status=429, headers={"retry-after": "60"}, json={"error": {"message": "Too many"}}
        ),
    )
    go("playground/many")
    queries = [f"My VPN fails, said Ada {number}" for number in range(6)]
    page.get_by_label("Queries, one per line").fill("\n".join(queries))
    page.get_by_role("button", name="Route all").click()
    results = page.get_by_role("region", name="Results")
    status = results.get_by_role("status")
    expect(status).to_have_text("The rate limit is reached. Waiting 60 s …")
    results.get_by_role("button", name="Stop").click()
    left = results.get_by_role("button", name="Route 6 remaining queries")
    expect(left).to_be_focused()
    page.unroute("**/v1/route")
    left.press("Enter")
    expect(status).to_contain_text("6 of 6 queries routed: ")


def test_many_queries_are_routed_and_a_question_is_answered_in_a_conversation(
    page: Page, go: Go, rows: Rows, close: list[str]
) -> None:
    refusals = iter((429, 500))  # of the first requests

    def refuse(route: Route) -> None:
        status = next(refusals, None)
        if status is None:
            route.continue_()
            return
        wait = {"retry-after": "0"} if status == 429 else {}
        route.fulfill(status=status, headers=wait, json={"error": {"message": "Refused"}})

    go("playground/many")
    lines = page.get_by_label("Queries, one per line")
    lines.fill("x\n" * 201)
    lines.press("Control+Enter")
    expect(page.get_by_text("At most 200 lines: these are 201.")).to_be_visible()
    page.route("**/v1/route", refuse)
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Clarifying question").select_option("Allow")
    queries = ["My VPN fails, said Alan", "The kitchen sink leaks, said Alan", close[0]]
    lines.fill("\n".join([*queries, ""]))
    lines.press("Control+Enter")
    results = page.get_by_role("region", name="Results")
    status = results.get_by_role("status")
    expect(status).to_contain_text("2 of 3 queries routed: ")
    expect(status).to_contain_text("1 failed.")
    results.get_by_role("button", name="Route 1 remaining query").click()
    expect(status).to_contain_text("3 of 3 queries routed: ")
    expect(results.get_by_role("row", name=close[0])).to_contain_text("Clarifying question")
    with page.expect_download() as download:
        results.get_by_role("button", name="Download CSV").click()
    with download.value.path().open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert [row["query"] for row in found] == queries
    assert [row["outcome"] for row in found] == ["agent", "agent", "clarify"]
    assert [row["agent"] for row in found[:2]] == ["it_support", "facilities"]
    results.get_by_role("row", name=queries[1]).get_by_role("cell").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".answer")).to_have_text("Facilities")
    check_accessibility(page, "playground-many-decision", whole=False)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.keyboard.press("Escape")

    page.get_by_role("link", name="Conversation", exact=True).click()
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Clarifying question").select_option("Allow")
    message = page.get_by_label("Message")
    message.fill(close[0])
    message.press("Enter")
    thread = page.get_by_role("log", name="Conversation")
    choices = thread.get_by_role("group", name="Reply").get_by_role("button")
    name = choices.last.inner_text()
    choices.last.click()
    expect(thread.get_by_role("listitem").nth(1)).to_contain_text(f"{name}Conversation100 %")
    expect(choices).to_have_count(0)
    thread.get_by_text("Add what the agent answered").click()
    answer = thread.get_by_label(f"{name} answered")
    thread.get_by_role("button", name=f"Ask {name}").click()
    expect(answer).to_have_value(re.compile(f"It read: .*{name}", re.DOTALL))
    answer.fill("From which day, Alan?")
    message.fill("The 29th, said Alan")
    message.press("Enter")
    expect(thread.get_by_role("listitem").last).to_contain_text(f"{name}kept from the turn before")
    check_accessibility(page, "playground-conversation")
    page.set_viewport_size({"width": 1440, "height": 900})
    sql = "SELECT query, context FROM logs WHERE session LIKE 'playground-%' ORDER BY seq"
    (first, _), (reply, question), (last, turn) = until(
        lambda: rows(sql), lambda found: len(found) == 3
    )
    assert (first, reply, last) == (close[0], name, "The 29th, said Alan")
    assert "Which of these should help you?" in question
    assert "From which day, Alan?" in turn
    page.get_by_role("button", name="New conversation").click()
    expect(thread.get_by_role("listitem")).to_have_count(0)
