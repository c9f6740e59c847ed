"""schemathesis' random requests, against real workerd. tests/unit/test_schema.py has its others,
and sends each without a key as well, which triples them."""

import subprocess
import sys
from pathlib import Path

import httpx

from tests.fuzzing import command, environment
from tests.worker.product import LocalProduct


def test_every_operation_keeps_its_word(sandbox: LocalProduct, tmp_path: Path) -> None:
    """It changes settings and deletes agents as it likes."""
    url, key = sandbox.base_url, sandbox.admin_token
    document = tmp_path / "openapi.json"
    document.write_text(httpx.get(f"{url}/openapi.json", timeout=60).text)
    done = subprocess.run(
        [
            sys.executable,
            *command(document, url, key, examples=1, phases="fuzzing", without="ignored_auth"),
        ],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
