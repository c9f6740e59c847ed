"""What the first screen weighs, where it comes from, and what a fresh installation shows."""

import gzip
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, Response, expect

from tests.ui.conftest import settled, sign_in
from tests.worker.product import LocalProduct

MOST_BYTES_GZIPPED = 150_000


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProduct]:
    local = LocalProduct(state=tmp_path_factory.mktemp("fresh"))
    local.start()
    yield local
    local.stop()


@pytest.fixture
def visitor(browser: Browser, fresh: LocalProduct) -> Iterator[Page]:
    context = browser.new_context(base_url=fresh.base_url, locale="en-US")
    yield context.new_page()
    context.close()


def test_the_first_screen_is_small_and_all_ours(visitor: Page, fresh: LocalProduct) -> None:
    answers: list[Response] = []
    visitor.on("response", lambda answer: answers.append(answer))
    sign_in(visitor, fresh.admin_token)
    visitor.locator(".chart .u-wrap").first.wait_for()
    visitor.wait_for_load_state("networkidle")
    sizes = {answer.url: len(gzip.compress(answer.body())) for answer in answers}
    assert all(url.startswith(f"{fresh.base_url}/") for url in sizes)
    assert sum(sizes.values()) < MOST_BYTES_GZIPPED, sizes


def test_what_the_first_screen_imports_is_loaded_at_once(
    visitor: Page, fresh: LocalProduct
) -> None:
    """Else each import would be found, and asked for, only after the one before it has come."""
    asked: list[str] = []
    visitor.on("request", lambda request: asked.append(request.url))
    sign_in(visitor, fresh.admin_token)
    modules = {url for url in asked if url.endswith(".js") and "/vendor/" not in url}
    named = visitor.eval_on_selector_all(
        "link[rel=modulepreload], script[src]", "links => links.map(one => one.href ?? one.src)"
    )
    assert modules == set(named)


def test_every_file_comes_with_the_policy(fresh: LocalProduct) -> None:
    for path in ("/", "/main.js", "/screens/overview.js", "/css/base.css", "/icon.svg"):
        answer = httpx.get(fresh.base_url + path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_fresh_installation_routes_sample_queries(visitor: Page, fresh: LocalProduct) -> None:
    sign_in(visitor, fresh.admin_token)
    visitor.goto("/#/logs")
    settled(visitor)
    expect(visitor.get_by_role("heading", name="Nothing has been routed yet")).to_be_visible()
    visitor.goto("/#/overview")
    settled(visitor)
    visitor.get_by_role("button", name="Route sample queries").click()
    expect(visitor.get_by_text("wait for a label")).to_be_visible(timeout=60_000)
    expect(visitor.get_by_role("button", name="Route sample queries")).to_have_count(0)
    headers = {"authorization": f"Bearer {fresh.admin_token}"}
    totals = httpx.get(f"{fresh.base_url}/v1/analytics", headers=headers).json()["totals"]
    assert totals["requests"] == 36
    assert totals["cache_hits"] > 0
