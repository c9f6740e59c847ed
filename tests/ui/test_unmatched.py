"""The page of unmatched queries: clusters become agents and labels, or are dismissed."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.ui.conftest import Go, Rows, said
from tests.ui.test_screens import check_accessibility
from tests.waiting import until

WORDS = ("aba", "cede", "fighi", "jokulo")
TOPICS = (
    "Zylophon quark {} to Zanzibar",
    "Mumble frobnicate {} with gravy",
    "<b>Xyzzy</b> plugh {}",
)


@pytest.fixture(autouse=True)
def as_it_was(seeded: httpx.Client) -> Iterator[None]:
    seeded.patch("/v1/config", json={"confidence_threshold": 1.0}).raise_for_status()
    yield
    seeded.patch("/v1/config", json={"confidence_threshold": None}).raise_for_status()
    seeded.delete("/v1/agents/zanzibar")


def test_clusters_are_made_an_agent_labelled_and_dismissed(
    page: Page, go: Go, rows: Rows, seeded: httpx.Client
) -> None:
    for topic in TOPICS:
        for word in WORDS:
            body = {"query": topic.format(word)}
            decision = seeded.post("/v1/route", json=body).raise_for_status().json()
    until(lambda: rows("SELECT 1 FROM logs WHERE id = ?", decision["id"]))
    go("unmatched")
    page.get_by_role("button", name="Cluster now").click()
    card = page.get_by_role("article", name="Zylophon quark zanzibar")
    expect(card).to_be_visible(timeout=60_000)
    expect(card).to_contain_text("4 queries, asked 4 times")
    expect(page.get_by_role("article", name="Xyzzy plugh")).to_contain_text("<b>Xyzzy</b> plugh")
    check_accessibility(page, "unmatched-clusters")
    page.set_viewport_size({"width": 1440, "height": 900})

    card.get_by_text("1 more typical").click()
    card.get_by_role("button", name="Make agent of").press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Name")).to_have_value("Zylophon quark zanzibar")
    dialog.get_by_label("Name").fill("IT Support")
    dialog.get_by_label("ID").fill("it_support")
    dialog.get_by_role("button", name="Make agent", exact=True).click()
    expect(dialog.get_by_label("ID")).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("Name").fill("Zanzibar")
    dialog.get_by_label("ID").fill("")
    dialog.get_by_role("button", name="Make agent", exact=True).click()
    said(page, "Agent Zanzibar made, 4 queries labeled.")
    expect(card).to_have_count(0)
    assert rows("SELECT count(*) FROM current_labels WHERE agent_id = 'zanzibar'") == [(4,)]

    page.get_by_role("button", name="Label all of Mumble").click()
    dialog.get_by_label("Correct agent").select_option("hr")
    dialog.get_by_role("button", name="Label all", exact=True).click()
    said(page, "4 queries labeled.")
    page.get_by_role("button", name="Dismiss Xyzzy plugh").click()
    dialog.get_by_role("button", name="Dismiss", exact=True).click()
    said(page, "Cluster dismissed.")
    expect(page.get_by_role("article", name="Xyzzy plugh")).to_have_count(0)


CLUSTERING = {
    "id": "ucl_1",
    "state": "succeeded",
    "job_id": "job_1",
    "created_at": "2026-11-01T04:00:00.000Z",
    "created_by": "rule",
    "finished_at": "2026-11-01T04:01:03.000Z",
    "queries": 25,
    "clustered": 22,
    "error": None,
}


@pytest.mark.parametrize(
    ("clustering", "text"),
    [
        (None, "Queries that no agent fits appear here."),
        (CLUSTERING, "All clusters were handled, or their queries were labeled or erased."),
        (CLUSTERING | {"clustered": 0}, "No three queries are alike enough for a cluster."),
    ],
)
def test_a_page_without_clusters_says_why(
    page: Page, go: Go, clustering: dict[str, object] | None, text: str
) -> None:
    answer = {"clusters": list[str](), "clustering": clustering, "new_queries": 0}
    page.route("**/v1/unmatched", lambda route: route.fulfill(json=answer))
    go("unmatched")
    expect(page.get_by_text(text)).to_be_visible()


def test_a_page_without_clusters_says_what_to_do(page: Page, go: Go, rows: Rows) -> None:
    page.route(
        "**/v1/unmatched",
        lambda route: route.fulfill(
            json={"object": "unmatched", "clusters": [], "clustering": None, "new_queries": 0}
        ),
    )
    go("unmatched")
    expect(page.get_by_role("heading", name="No unmatched queries")).to_be_visible()
    page.get_by_role("link", name="Open Labeling").click()
    expect(page.get_by_role("heading", name="Labeling")).to_be_visible()
