"""The running product that the black-box tests talk to, over HTTP alone.

EDGENEURO_BASE_URL with ADMIN_TOKEN names a deployment to test; without them the tests start one.
"""

import os
from collections.abc import Iterator

import httpx
import pytest

from tests.http_client import http_client
from tests.worker.fault_matrix import document
from tests.worker.product import ExternalProduct, LocalProduct, Product


@pytest.fixture(scope="package")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    base_url = os.environ.get("EDGENEURO_BASE_URL")
    if base_url:
        yield ExternalProduct(base_url.rstrip("/"), os.environ["ADMIN_TOKEN"])
        return
    local = LocalProduct(state=tmp_path_factory.mktemp("state"))
    local.start()
    try:
        learns_nothing(local)
        yield local
    finally:
        local.stop()


@pytest.fixture(scope="package")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProduct]:
    """A second product, for modules whose settings and faults would disturb other tests. They run
    one after the other by name, and may find what those before them have stored."""
    local = LocalProduct(state=tmp_path_factory.mktemp("sandbox"))
    local.start()
    try:
        learns_nothing(local)
        yield local
    finally:
        local.stop()


def learns_nothing(product: LocalProduct) -> None:
    """Trainings that the cron begins would meet those of the tests; test_learning.py has them."""
    with http_client(product.base_url, product.admin_token) as client:
        client.patch("/v1/config", json={"learning": "off"}).raise_for_status()


@pytest.fixture
def client(product: Product) -> Iterator[httpx.Client]:
    """A client that may do everything."""
    with http_client(product.base_url, product.admin_token) as client:
        yield client


@pytest.fixture
def anonymous(product: Product) -> Iterator[httpx.Client]:
    """A client without a key."""
    with http_client(product.base_url) as client:
        yield client


@pytest.fixture
def emulator(product: Product) -> Iterator[httpx.Client]:
    """The control API of local/, which stands for Cloudflare; well-behaved again after the test."""
    if product.local_ai_url is None:
        pytest.skip("the Workers AI of a deployment takes no orders")
    with http_client(product.local_ai_url) as emulator:
        yield emulator
        emulator.delete("/_local/faults").raise_for_status()
        emulator.put("/_local/rate_limit", content=b"null").raise_for_status()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table that the fault matrix was tried against."""
    tried = [each.nodeid for each in terminalreporter.getreports("passed")]
    if any("test_fault_matrix" in each for each in tried):
        terminalreporter.section("the fault matrix")
        terminalreporter.write_line(document())
