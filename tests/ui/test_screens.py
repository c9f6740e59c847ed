"""Every screen, with an attack in each text: it runs no script, there is no WCAG violation,
contrast is enough in both themes, and nothing is cut off on a narrow screen. The variable
`SCREENSHOTS` names a folder for a picture of each."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page

from scripts.paths import AXE
from tests.ui.conftest import load_page, settled
from tests.ui.script_attack import traces
from tests.waiting import until
from tests.worker.product import LocalProduct

SCREENSHOTS = os.environ.get("SCREENSHOTS")
SCREENS = (
    "overview",
    "analytics",
    "costs",
    "logs",
    "logs/{log}",
    "playground",
    "playground/outcomes",
    "labeling",
    "labeling/random",
    "labeling/bulk",
    "labeling/disagreements",
    "labeling/labels",
    "unmatched",
    "datasets",
    "evaluations",
    "evaluations/{evaluation}",
    "routing_tests",
    "routing_tests/{run}",
    "replays",
    "replays/new",
    "replays/{replay}",
    "models",
    "models/%40cf%2Fcloudflare%2Fclef-omni",
    "models/fallbacks",
    "models/classifier",
    "models/challenger",
    "models/history",
    "adapters",
    "adapters/{lora}",
    "agents",
    "agents/{agent}",
    "routers",
    "rules",
    "providers",
    "keys",
    "keys/users",
    "keys/teams",
    "settings",
    "webhooks",
    "audit",
)
DIALOGS = (
    ("agents", "Add agent"),
    ("agents", "Edit IT Support"),
    ("routers", "Add router"),
    ("routers", "Edit Support"),
    ("rules", "Add rule"),
    ("providers", "Add provider"),
    ("webhooks", "Add webhook"),
    ("keys", "Create API key"),
    ("keys/teams", "Edit Support"),
    ("keys", "Revoke Support portal"),
    ("models", "Register model"),
    ("models", "Select routing-v2"),
    ("evaluations", "New evaluation"),
    ("routing_tests", "Run tests"),
)
_ONLY_VIOLATIONS = {"resultTypes": ["violations"]}  # it says no more than one node of each other
_ALL_RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    **_ONLY_VIOLATIONS,
}
# The one rule whose result depends on the theme.
_CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast"]}, **_ONLY_VIOLATIONS}
WIDE, NARROW = 1440, 360


def violations(page: Page, rules: dict[str, Any] = _ALL_RULES) -> list[str]:
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = page.evaluate(
        "async (rules) => (await axe.run(document, rules)).violations", rules
    )
    return [
        f"{each['id']}: {node['target']} {node['failureSummary']}"
        for each in found
        for node in each["nodes"]
    ]


@pytest.fixture(scope="module")
def signed_in(browser: Browser, product: LocalProduct) -> Iterator[Page]:
    context = browser.new_context(
        base_url=product.base_url, locale="en-US", reduced_motion="reduce"
    )
    yield load_page(context, product.admin_token)
    context.close()


@pytest.fixture
def visitor(signed_in: Page) -> Page:
    """One page for all screens; each test starts in the light theme on a wide screen."""
    look(signed_in, "light", WIDE)
    return signed_in


def look(page: Page, theme: Literal["light", "dark"], width: int) -> None:
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size({"width": width, "height": 900})


def check_accessibility(page: Page, name: str, *, whole: bool = True) -> None:
    """Checks both themes and both widths. Of the axe rules only contrast depends on the theme. A
    picture takes as long as all of them, so there is one if it is wanted, of the light theme on a
    wide screen."""
    if SCREENSHOTS:
        path = Path(SCREENSHOTS) / f"{name}-light-{WIDE}.png"
        page.screenshot(path=path, full_page=whole)
    assert not overflows(page)
    assert violations(page) == []
    look(page, "dark", WIDE)
    assert violations(page, _CONTRAST) == []
    look(page, "light", NARROW)
    until(lambda: not overflows(page), seconds=5)  # a chart is redrawn some frames later


def overflows(page: Page) -> bool:
    size = page.viewport_size
    assert size is not None
    return bool(page.evaluate("document.documentElement.scrollWidth") > size["width"])


@pytest.mark.parametrize("screen", SCREENS)
def test_a_screen(visitor: Page, attacked: dict[str, str], screen: str) -> None:
    visitor.goto(f"/#/{screen.format(**attacked)}")
    settled(visitor)
    assert visitor.locator("h1").count() == 1
    check_accessibility(
        visitor, screen.replace("/", "-").replace("{", "").replace("}", "").replace("%", "")
    )
    assert traces(visitor) == [None, 0]


@pytest.mark.parametrize(("screen", "button"), DIALOGS)
def test_a_dialog(visitor: Page, attacked: dict[str, str], screen: str, button: str) -> None:
    visitor.goto(f"/#/{screen}")
    settled(visitor)
    visitor.get_by_role("button", name=button, exact=True).first.click()
    dialog = visitor.get_by_role("dialog")
    dialog.wait_for()
    visitor.wait_for_function("() => !document.querySelector('dialog [aria-busy]')")
    check_accessibility(
        visitor, f"{screen}-{button.replace(' ', '-').replace('/', '-').lower()}", whole=False
    )
    visitor.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    # The focus is back where it was, once the button is no longer busy.
    visitor.wait_for_function(
        """name => (document.activeElement.getAttribute('aria-label')
            ?? document.activeElement.textContent) === name""",
        arg=button,
    )


def test_a_decision_in_the_playground(visitor: Page, attacked: dict[str, str]) -> None:
    visitor.goto("/#/playground")
    settled(visitor)
    visitor.get_by_label("Query").fill("My VPN does not connect from home since the update")
    visitor.get_by_role("button", name="Route").click()
    visitor.locator(".answer").wait_for()
    check_accessibility(visitor, "playground-answer")


def test_signing_in(signed_out: Page) -> None:
    check_accessibility(signed_out, "sign-in")
