"""Keyboard navigation, narrow screens, and the theme."""

from playwright.sync_api import Page, expect

from tests.ui.conftest import Go, settled


def test_from_the_first_tab_to_another_screen_and_back(page: Page, go: Go) -> None:
    go("settings")
    page.reload()
    settled(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    link = page.get_by_role("link", name="Agents", exact=True)
    link.focus()
    page.keyboard.press("Enter")
    settled(page)
    expect(page.locator("#main")).to_be_focused()
    expect(page.get_by_role("heading", name="Agents", level=1)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Add agent")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_label("ID", exact=True)).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Add agent")).to_be_focused()


def test_the_menu_of_a_narrow_screen(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    menu = page.get_by_role("button", name="Menu")
    link = page.locator("#nav").get_by_text("Models", exact=True)
    expect(link).to_be_hidden()
    menu.focus()
    page.keyboard.press("Enter")
    expect(link).to_be_visible()
    expect(menu).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Escape")
    expect(link).to_be_hidden()
    expect(menu).to_be_focused()
    menu.click()
    link.click()
    expect(page.get_by_role("heading", name="Models", level=1)).to_be_visible()
    expect(link).to_be_hidden()


def test_the_theme_is_changed_and_stored(own_page: Page) -> None:
    page = own_page
    page.get_by_role("button", name="Theme: system").click()
    page.get_by_role("button", name="Theme: light").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="Theme: dark").click()
    expect(page.get_by_role("button", name="Theme: system")).to_be_visible()
