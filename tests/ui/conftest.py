"""The pages in a real Chromium, against the running product."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect

from tests.ui.browser import chromium
from tests.ui.installation import furnish
from tests.worker.product import LocalProduct

_SETTLED = """() => {
  const [heading, ...others] = document.querySelectorAll('#main > .stack > *');
  return heading && others.length && others.at(-1).childNodes.length
    && !document.querySelector('#main [aria-busy], #main .loading');
}"""
expect.set_options(timeout=20_000)  # a busy machine is no fault of the pages
# What a refused or failed call leaves in the console by itself.
_OF_THE_BROWSER = "Failed to load resource"


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProduct]:
    local = LocalProduct(state=tmp_path_factory.mktemp("pages"))
    local.start()
    try:
        yield local
    finally:
        local.stop()


@pytest.fixture(scope="package")
def api(product: LocalProduct) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {product.admin_token}"}
    with httpx.Client(base_url=product.base_url, headers=headers, timeout=60) as client:
        yield client


@pytest.fixture
def desk(product: LocalProduct) -> Iterator[httpx.Client]:
    """The control API of local/, which stands for Cloudflare; well-behaved again after the test."""
    assert product.local_ai_url is not None
    with httpx.Client(base_url=product.local_ai_url, timeout=30) as desk:
        yield desk
        desk.delete("/_local/faults").raise_for_status()


@pytest.fixture(scope="package")
def furnished(
    api: httpx.Client, product: LocalProduct, tmp_path_factory: pytest.TempPathFactory
) -> httpx.Client:
    """The product with something of everything in it."""
    furnish(api, tmp_path_factory.mktemp("adapter"))
    return api


Rows = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def rows(product: LocalProduct) -> Rows:
    """What a query finds in the product's database."""

    def read(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(f"file:{product.database}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(sql, parameters).fetchall()
        finally:
            connection.close()

    return read


@dataclass
class Witness:
    """What pages said and asked for that they must not."""

    base_url: str
    faults: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("console", self._console)
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and _OF_THE_BROWSER not in message.text:
            self.faults.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        asked = urlsplit(request.url)
        if asked.scheme in ("http", "https") and not request.url.startswith(f"{self.base_url}/"):
            self.faults.append(f"third party: {request.url}")


@pytest.fixture
def context(browser: Browser, product: LocalProduct) -> Iterator[BrowserContext]:
    """A browser of its own for each test, at 1440 pixels; what it must not do fails the test."""
    witness = Witness(product.base_url)
    context = browser.new_context(
        base_url=product.base_url,
        locale="en-US",
        viewport={"width": 1440, "height": 900},
        color_scheme="light",
    )
    context.set_default_timeout(20_000)
    context.on("page", witness.watch)
    yield context
    context.close()
    assert witness.faults == []


def sign_in(page: Page, key: str) -> None:
    page.goto("/")
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_role("button", name="Sign in").click()
    settled(page)


@pytest.fixture
def page(context: BrowserContext, product: LocalProduct) -> Page:
    """Signed in as an administrator, on a screen that is soon there."""
    page = context.new_page()
    page.goto("/icon.svg")
    page.evaluate("key => sessionStorage.setItem('edgeneuro.key', key)", product.admin_token)
    page.goto("/#/settings")
    settled(page)
    return page


Go = Callable[[str], None]


@pytest.fixture
def go(page: Page) -> Go:
    def go(place: str) -> None:
        page.goto(f"/#/{place}")
        settled(page)

    return go


def settled(page: Page) -> None:
    """The screen is there, and nothing is loading any more."""
    page.wait_for_function(_SETTLED)


def said(page: Page, text: str) -> None:
    expect(page.get_by_role("status").filter(has_text=text).first).to_be_visible()


def setting(rows: Rows, name: str) -> object:
    found = rows("SELECT value FROM config WHERE key = ?", name)
    return json.loads(found[0][0]) if found else None
