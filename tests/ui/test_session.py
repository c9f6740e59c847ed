"""Signing in and out, keys that are revoked during work, and several tabs."""

from typing import Any

import httpx
from playwright.sync_api import Browser, Page, expect

from tests.ui.conftest import Go, Rows, enter_key, said, settled
from tests.worker.guarded_product import KEY, Guarded
from tests.worker.product import LocalProduct

KEY_PLACES = "JSON.stringify([location.href, document.cookie, {...localStorage}])"


def make_key(api: httpx.Client, name: str, *scopes: str) -> dict[str, Any]:
    made: dict[str, Any] = (
        api.post("/v1/keys", json={"name": name, "scopes": list(scopes)}).raise_for_status().json()
    )
    return made


def test_a_wrong_key_is_refused_and_a_right_one_is_kept_for_the_session(
    signed_out: Page, product: LocalProduct
) -> None:
    page = signed_out
    page.goto("/#/agents")
    page.get_by_label("API key", exact=True).fill("en_wrong_wrong_wrong_wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("This key is not valid")
    expect(page.get_by_role("alert")).to_contain_text("Request req_")
    page.get_by_label("API key", exact=True).fill(product.admin_token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Agents")).to_be_visible()
    assert product.admin_token not in page.evaluate(KEY_PLACES)
    page.reload()
    expect(page.get_by_role("heading", name="Agents")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key", exact=True)).to_be_visible()
    page.reload()
    expect(page.get_by_label("API key", exact=True)).to_be_visible()


def test_a_second_tab_is_signed_in_and_out_with_the_first(page: Page) -> None:
    second = page.context.new_page()
    second.goto("/#/models")
    expect(second.get_by_role("heading", name="Models", level=1)).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(second.get_by_label("API key", exact=True)).to_be_visible()


def test_a_conflict_of_two_tabs_is_shown(page: Page, go: Go, api: httpx.Client, rows: Rows) -> None:
    go("models")
    second = page.context.new_page()
    second.goto("/#/models")
    settled(second)
    for tab, model in ((second, "@cf/zai-org/glm-4.7-flash"), (page, "@cf/openai/gpt-oss-20b")):
        tab.get_by_role("button", name=f"Select {model}").click()
        tab.get_by_role("dialog").get_by_role("button", name="Select anyway").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("changed")
    stored = rows("SELECT value FROM config WHERE key = 'routing_model'")
    assert stored == [('"@cf/zai-org/glm-4.7-flash"',)]
    api.patch("/v1/config", json={"routing_model": None}).raise_for_status()


def test_a_key_revoked_during_work_loses_nothing(
    signed_out: Page, go: Go, api: httpx.Client, rows: Rows, product: LocalProduct
) -> None:
    key = make_key(api, "Short", "admin")
    page = signed_out
    enter_key(page, key["key"])
    go("agents")
    page.get_by_role("button", name="Add agent").click()
    form = page.get_by_role("dialog", name="Add agent")
    form.get_by_label("ID", exact=True).fill("archive")
    form.get_by_label("Name").fill("Archive")
    form.get_by_label("Description").fill("Old papers, typed with care.")
    api.delete(f"/v1/keys/{key['id']}").raise_for_status()
    form.get_by_role("button", name="Save").click()
    again = page.get_by_role("dialog", name="Sign in again")
    expect(again).to_contain_text("This key was revoked")
    again.get_by_label("API key", exact=True).fill("en_wrong_wrong_wrong_wrong")
    again.get_by_role("button", name="Sign in and continue").click()
    expect(again.get_by_role("alert")).to_contain_text("not valid")
    again.get_by_label("API key", exact=True).fill(product.admin_token)
    again.get_by_role("button", name="Sign in and continue").click()
    said(page, "Archive saved.")
    found = rows("SELECT description FROM agents WHERE id = 'archive'")
    assert found == [("Old papers, typed with care.",)]
    api.delete("/v1/agents/archive").raise_for_status()


def test_cancelling_the_new_sign_in_keeps_the_typed_text(
    signed_out: Page, go: Go, api: httpx.Client
) -> None:
    key = make_key(api, "Shorter", "route")
    page = signed_out
    enter_key(page, key["key"])
    go("playground")
    page.get_by_role("button", name="Route").click()
    expect(page.locator(".answer")).to_be_visible()  # without an explanation, which needs "read"
    page.get_by_label("Query").fill("A long thought about the VPN")
    api.delete(f"/v1/keys/{key['id']}").raise_for_status()
    page.get_by_role("button", name="Route").click()
    page.get_by_role("dialog", name="Sign in again").wait_for()
    page.keyboard.press("Escape")
    expect(page.get_by_role("alert")).to_contain_text("This key was revoked")
    expect(page.get_by_label("Query")).to_have_value("A long thought about the VPN")


def test_a_user_of_cloudflare_access_needs_no_key(browser: Browser, guarded: Guarded) -> None:
    guarded.add_user()
    context = browser.new_context(
        base_url=guarded.product.base_url,
        locale="en-US",
        # as Access adds it
        extra_http_headers={"cf-access-jwt-assertion": KEY.token(guarded.claims())},
    )
    page = context.new_page()
    page.goto("/")
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    expect(page.locator(".account-name")).to_have_text("ada@example.com")
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
    navigation = page.get_by_role("navigation", name="Screens")
    expect(navigation.get_by_role("link", name="Labeling")).to_have_count(0)
    context.close()
