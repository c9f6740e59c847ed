"""Text that would run as a script if a page treated it as HTML, in every field; test_screens.py has
it on every screen."""

import pytest
from playwright.sync_api import Page, expect

from tests.ui.conftest import Go, settled
from tests.ui.console_guard import ConsoleGuard
from tests.ui.script_attack import ATTACK, traces


@pytest.mark.parametrize(
    ("screen", "text"), [("agents", "name"), ("models", "id"), ("logs/{log}", "query")]
)
def test_the_text_is_shown_unchanged(
    page: Page, go: Go, attacked: dict[str, str], screen: str, text: str
) -> None:
    go(screen.format(**attacked))
    expect(page.get_by_text(ATTACK).first).to_be_visible()


def test_fields_treat_it_as_text(page: Page, go: Go, attacked: dict[str, str]) -> None:
    """Types the attack into every text field of the forms and filters."""
    for place, opened in (
        ("agents", "Add agent"),
        ("rules", "Add rule"),
        ("providers", "Add provider"),
        ("keys", "Create API key"),
        ("keys/users", "Add user"),
        ("models", "Register model"),
    ):
        go(place)
        page.get_by_role("button", name=opened).first.click()
        dialog = page.get_by_role("dialog")
        for box in dialog.get_by_role("textbox").all():
            box.fill(ATTACK)
        dialog.get_by_role("button").last.click()
        expect(dialog.locator("[aria-busy]")).to_have_count(0)
        assert traces(page) == [None, 0], place
        # Else leaving what was refused asks first.
        page.evaluate("document.querySelectorAll('[data-watched]').forEach((one) => one.remove())")
    for place in ("logs", "playground", "labeling/bulk", "audit", "models"):
        go(place)
        for box in page.locator("#main").get_by_role("textbox").all():
            box.fill(ATTACK)
            box.press("Enter")
        settled(page)
        assert traces(page) == [None, 0], place


def test_the_address_runs_no_script(page: Page) -> None:
    for place in (
        f"#/{ATTACK}",
        f"#/logs/{ATTACK}",
        f"#/logs?q={ATTACK}",
        f"#/playground?q={ATTACK}",
    ):
        page.goto(f"/{place}")
        page.locator("#main h1").first.wait_for()
        assert traces(page) == [None, 0], place


def test_the_policy_forbids_inline_script(page: Page, console: ConsoleGuard) -> None:
    console.allow("requires 'TrustedHTML' assignment")
    refused = page.evaluate(
        """() => {
          const part = document.createElement("p");
          try { part.innerHTML = "<b>x</b>"; } catch (error) { return error.name; }
          return null;
        }"""
    )
    assert refused == "TypeError", "trusted types are required"
