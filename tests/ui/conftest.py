"""Runs the pages in Chromium against the running product."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect

from tests.http_client import http_client
from tests.ui.browser import chromium
from tests.ui.console_guard import ConsoleGuard
from tests.ui.script_attack import attack
from tests.ui.seed_data import seed_data
from tests.ui.tab import WIDE, Tab
from tests.worker.guarded_product import Guarded
from tests.worker.product import LocalProduct

SETTLED = """() => {
  const [heading, ...others] = document.querySelectorAll('#main > .stack > *');
  return heading && others.length && others.at(-1).childNodes.length
    && !document.querySelector('#main [aria-busy], #main .loading');
}"""
_SHOWN = """() => ({
  titles: document.querySelectorAll('#main h1').length,
  alerts: document.querySelectorAll('[role=alert]').length,
  refused: document.body.textContent.includes('This screen needs the scope'),
  healthy: document.body.textContent.includes('No alerts'),
})"""
_LOOK_EACH_MS = 30  # to look at each frame makes the browser draw frames
expect.set_options(timeout=20_000)  # long enough for a busy machine


@pytest.fixture(scope="package")
def console_guard() -> ConsoleGuard:
    return ConsoleGuard()


@pytest.fixture(scope="package")
def browser(console_guard: ConsoleGuard) -> Iterator[Browser]:
    with chromium() as browser:
        browser.on("context", console_guard.watch)
        yield browser


@pytest.fixture(scope="package")
def product(guarded: Guarded) -> LocalProduct:
    return guarded.product


@pytest.fixture(scope="package")
def api(product: LocalProduct) -> Iterator[httpx.Client]:
    with http_client(product.base_url, product.admin_token, timeout=60) as client:
        yield client


@pytest.fixture
def emulator(product: LocalProduct) -> Iterator[httpx.Client]:
    """The control API of the Workers AI emulator. Its faults are cleared after the test."""
    assert product.local_ai_url is not None
    with http_client(product.local_ai_url) as emulator:
        yield emulator
        emulator.delete("/_local/faults").raise_for_status()


@pytest.fixture(scope="package")
def seeded(
    api: httpx.Client, product: LocalProduct, tmp_path_factory: pytest.TempPathFactory
) -> httpx.Client:
    """The product with data of every kind."""
    seed_data(api, tmp_path_factory.mktemp("adapter"))
    return api


@pytest.fixture(scope="package")
def attacked(seeded: httpx.Client) -> dict[str, str]:
    """The same, with an attack in every text that the API accepts."""
    return attack(seeded)


Rows = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def rows(product: LocalProduct) -> Rows:
    """Runs a query on the product's database and returns its rows."""

    def read(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(f"file:{product.database}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(sql, parameters).fetchall()
        finally:
            connection.close()

    return read


@pytest.fixture(autouse=True)
def console(console_guard: ConsoleGuard) -> Iterator[ConsoleGuard]:
    """Fails a test whose pages, in any context, log an error or send a forbidden request."""
    yield console_guard
    assert console_guard.take() == []


@pytest.fixture
def context(browser: Browser, product: LocalProduct) -> Iterator[BrowserContext]:
    """A new browser context for the tests that need a page which has loaded nothing yet."""
    context = new_context(browser, product)
    yield context
    context.close()


def new_context(browser: Browser, product: LocalProduct) -> BrowserContext:
    """1440 pixels wide."""
    context = browser.new_context(
        base_url=product.base_url,
        locale="en-US",
        viewport=WIDE,
        color_scheme="light",
        reduced_motion="reduce",  # a turning wheel takes more CPU than all else
    )
    context.set_default_timeout(20_000)
    return context


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key", exact=True)).to_be_visible()


def enter_key(page: Page, key: str) -> None:
    """Signs in where a key is asked for."""
    page.get_by_label("API key", exact=True).fill(key)
    page.get_by_role("button", name="Sign in").click()
    settled(page)


def load_page(context: BrowserContext, key: str) -> Page:
    """A new page, signed in, on the settings screen, which loads fast."""
    page = context.new_page()
    page.goto("/icon.svg")
    page.evaluate("key => sessionStorage.setItem('edgeneuro.key', key)", key)
    page.goto("/#/settings")
    settled(page)
    return page


@pytest.fixture
def own_page(context: BrowserContext, product: LocalProduct) -> Page:
    """Signed in as an administrator, and loaded for this test alone."""
    return load_page(context, product.admin_token)


@pytest.fixture(scope="package")
def tab(browser: Browser, product: LocalProduct) -> Iterator[Tab]:
    key = product.admin_token
    tab = Tab(lambda: load_page(new_context(browser, product), key), key, enter_key)
    yield tab
    tab.close()


@pytest.fixture
def page(tab: Tab) -> Iterator[Page]:
    """Signed in as an administrator, with no screen open."""
    with tab.use() as page:
        yield page


@pytest.fixture
def signed_out(page: Page) -> Page:
    """It asks for a key, and is signed in again after the test."""
    sign_out(page)
    return page


@pytest.fixture
def writes(page: Page) -> Iterator[list[str]]:
    """The requests other than GET that the page sends from now on."""
    sent: list[str] = []

    def note(request: Request) -> None:
        if request.method != "GET":
            sent.append(f"{request.method} {request.url}")

    page.on("request", note)
    yield sent
    page.remove_listener("request", note)


Go = Callable[[str], None]


@pytest.fixture
def go(page: Page) -> Go:
    def go(place: str) -> None:
        page.goto(f"/#/{place}")
        settled(page)

    return go


def settled(page: Page) -> None:
    """Waits until the screen is shown and nothing is loading."""
    page.wait_for_function(SETTLED, polling=_LOOK_EACH_MS)


def open_again(page: Page) -> None:
    """Opens the address again, without what the screen knew besides it."""
    address = page.url
    page.goto("/#/nowhere")
    page.goto(address)
    settled(page)


def shown(page: Page) -> dict[str, Any]:
    """What is checked of every screen: to look for each takes as long as to open the screen."""
    found: dict[str, Any] = page.evaluate(_SHOWN)
    return found


def quiet(page: Page) -> None:
    """Waits until all timers of the page have fired: none is longer than 500 ms."""
    page.evaluate("() => new Promise((done) => setTimeout(done, 500))")


def said(page: Page, text: str) -> None:
    expect(page.get_by_role("status").filter(has_text=text).first).to_be_visible()


def setting(rows: Rows, name: str) -> object:
    found = rows("SELECT value FROM config WHERE key = ?", name)
    return json.loads(found[0][0]) if found else None
