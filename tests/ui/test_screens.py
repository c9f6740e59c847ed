"""Every screen in both themes and at both widths: no fault of WCAG, nothing cut off, a picture."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page

from scripts.paths import AXE, BUILD
from tests.ui.conftest import settled, sign_in
from tests.worker.product import LocalProduct

PICTURES = BUILD / "screenshots"
SCREENS = (
    "overview",
    "analytics",
    "logs",
    "logs/{log}",
    "playground",
    "labelling",
    "labelling/random",
    "labelling/table",
    "labelling/given",
    "datasets",
    "evaluations",
    "evaluations/{evaluation}",
    "models",
    "models/fallbacks",
    "models/classifier",
    "models/candidate",
    "adapters",
    "adapters/{lora}",
    "agents",
    "providers",
    "keys",
    "keys/users",
    "settings",
    "audit",
)
DIALOGS = (
    ("agents", "Add an agent"),
    ("agents", "Edit IT Support"),
    ("providers", "Add a provider"),
    ("keys", "Make a key"),
    ("keys", "Revoke Help desk"),
    ("models", "Register a model"),
    ("models", "Select routing-v2"),
    ("evaluations", "Evaluate models"),
)
_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def violations(page: Page) -> list[str]:
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = page.evaluate(
        "async (rules) => (await axe.run(document, rules)).violations", _RULES
    )
    return [
        f"{each['id']}: {node['target']} {node['failureSummary']}"
        for each in found
        for node in each["nodes"]
    ]


@pytest.fixture(scope="module")
def places(furnished: httpx.Client) -> dict[str, str]:
    """The newest of what a screen can show one of."""
    nouns = {"log": "logs", "evaluation": "evaluations", "lora": "loras"}
    return {
        one: furnished.get(f"/v1/{many}").json()["data"][0]["id"] for one, many in nouns.items()
    }


@pytest.fixture(scope="module", params=[("light", 1440), ("dark", 1440), ("light", 360)], ids=str)
def visitor(request: pytest.FixtureRequest, browser: Browser, product: LocalProduct) -> Any:
    theme, width = request.param
    context = browser.new_context(
        base_url=product.base_url,
        locale="en-US",
        color_scheme=theme,
        viewport={"width": width, "height": 900},
        reduced_motion="reduce",
    )
    page = context.new_page()
    sign_in(page, product.admin_token)
    yield page
    context.close()


@pytest.mark.parametrize("screen", SCREENS)
def test_a_screen(visitor: Page, places: dict[str, str], screen: str) -> None:
    visitor.goto(f"/#/{screen.format(**places)}")
    settled(visitor)
    size = visitor.viewport_size
    assert size is not None
    assert visitor.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert visitor.locator("h1").count() == 1
    picture(visitor, screen.replace("/", "-").replace("{", "").replace("}", ""))
    assert violations(visitor) == []


@pytest.mark.parametrize(("screen", "button"), DIALOGS)
def test_a_dialog(visitor: Page, places: dict[str, str], screen: str, button: str) -> None:
    visitor.goto(f"/#/{screen}")
    settled(visitor)
    visitor.get_by_role("button", name=button, exact=True).first.click()
    dialog = visitor.get_by_role("dialog")
    dialog.wait_for()
    visitor.wait_for_function("() => !document.querySelector('dialog [aria-busy]')")
    picture(visitor, f"{screen}-{button.replace(' ', '-').lower()}", whole=False)
    assert violations(visitor) == []
    visitor.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    focused = visitor.evaluate(
        "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
    )
    assert focused == button, "the focus is back where it was"


def test_an_answer_in_the_playground(visitor: Page, places: dict[str, str]) -> None:
    visitor.goto("/#/playground")
    settled(visitor)
    visitor.get_by_label("Query").fill("My VPN does not connect from home since the update")
    visitor.get_by_role("button", name="Route").click()
    visitor.locator(".answer").wait_for()
    picture(visitor, "playground-answer")
    assert violations(visitor) == []


def picture(page: Page, name: str, *, whole: bool = True) -> None:
    size = page.viewport_size
    assert size is not None
    theme = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'")
    path = Path(PICTURES) / f"{name}-{theme}-{size['width']}.png"
    page.screenshot(path=path, full_page=whole)


def test_signing_in(browser: Browser, product: LocalProduct) -> None:
    for theme in ("light", "dark"):
        context = browser.new_context(
            base_url=product.base_url,
            locale="en-US",
            color_scheme=theme,
            viewport={"width": 1440, "height": 900},
        )
        page = context.new_page()
        page.goto("/")
        page.get_by_label("Key", exact=True).wait_for()
        picture(page, "sign-in")
        assert violations(page) == []
        context.close()
