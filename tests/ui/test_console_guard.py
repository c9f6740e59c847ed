"""The console guard reports every kind of fault."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route

from tests.ui.console_guard import ConsoleGuard

PAGE = "http://localhost/"


@pytest.fixture(scope="module")
def empty(browser: Browser) -> Iterator[Page]:
    """A page without a product."""
    page = browser.new_page()
    page.route("**/*", _answer)
    yield page
    page.close()


@pytest.fixture
def blank(empty: Page) -> Page:
    empty.goto(PAGE)
    return empty


def _answer(route: Route) -> None:
    if not route.request.url.startswith(PAGE):
        route.continue_()
        return
    found = route.request.url == PAGE
    route.fulfill(status=200 if found else 404, content_type="text/html", body="<title>x</title>")


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("console.error('it broke')", "console: it broke"),
        ("setTimeout(() => { may('read'); })", "exception: may is not defined"),
        ("Promise.reject(new TypeError('may is not a function')) && 0", "exception: may is not a"),
        ("fetch('/missing.js').then(() => 0)", "console: Failed to load resource"),
        ("fetch('http://example.com/x').catch(() => 0)", "third party: http://example.com/x"),
    ],
)
def test_a_fault_is_found(blank: Page, console: ConsoleGuard, script: str, fault: str) -> None:
    blank.evaluate(script)
    blank.wait_for_function("() => new Promise((done) => setTimeout(() => done(true)))")
    assert any(each.startswith(fault) for each in console.take())


def test_a_failed_api_call_is_not_a_fault(blank: Page, console: ConsoleGuard) -> None:
    blank.evaluate("fetch('/v1/me').then(() => 0)")
    blank.evaluate("console.warn('no error')")
    assert console.take() == []


def test_an_allowed_message_is_not_a_fault(blank: Page, console: ConsoleGuard) -> None:
    console.allow("it broke")
    blank.evaluate("console.error('it broke')")
    assert console.take() == []
    blank.evaluate("console.error('it broke')")
    assert console.take() != []
