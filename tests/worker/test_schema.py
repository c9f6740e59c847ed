"""schemathesis against real workerd: whatever /openapi.json allows is answered as it says."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.product import LocalProduct

CONFIG = Path(__file__).parent / "schemathesis.toml"


@pytest.fixture
def own_product(tmp_path: Path) -> Iterator[LocalProduct]:
    """One to itself: it changes settings and deletes agents as it likes."""
    product = LocalProduct(state=tmp_path / "state")
    product.start()
    try:
        yield product
    finally:
        product.stop()


def test_every_operation_keeps_its_word(own_product: LocalProduct, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run"),
            *("--header", f"Authorization: Bearer {own_product.admin_token}"),
            *("--checks", "all", "--max-examples", "15", "--seed", "1", "--no-color"),
            *("--generation-database", "none", "--request-timeout", "30"),
            # Not "stateful": it holds that what was deleted is gone, and a revoked key is not.
            *("--phases", "examples,coverage,fuzzing"),
            f"{own_product.base_url}/openapi.json",
        ],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
