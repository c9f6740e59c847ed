"""`npm run deploy` with the real wrangler against the emulator's account."""

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from edgeneuro.store.schema_version import SCHEMA_VERSION
from scripts.backups.dump import read_dump
from scripts.deployment.config import config_file
from scripts.deployment.record import FOLDER
from scripts.paths import MIGRATIONS, ROOT
from tests.http_client import http_client
from tests.worker.product import Product

MAX_BYTES_GZIPPED = 10 * 1024 * 1024  # what a paid plan takes, which a training needs for its time
NOT_UPLOADED = {"local", "scripts", "tests", "bench", "trainer", "edgeneuro_testing"}


class Deployment:
    """An environment of its own in this checkout, deployed to the product's emulator. The product
    is what answers at its address."""

    def __init__(self, product: Product, emulator: httpx.Client) -> None:
        self.environment = f"test-{uuid.uuid4().hex[:8]}"
        self.name = f"edgeneuro-{self.environment}"
        self._product = product
        self._emulator = emulator

    def run(self, *words: str) -> tuple[int, str]:
        """The exit code and what it says."""
        own = ["--no-setup", "--env", self.environment, "--address", self._product.base_url]
        return self.command("deploy", *own, *words)

    def command(self, name: str, *words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", f"scripts.{name}", *words],
            cwd=ROOT,
            env={
                **os.environ,
                "CLOUDFLARE_API_BASE_URL": f"{self._product.local_ai_url}/client/v4",
                "CLOUDFLARE_API_TOKEN": "a-token",
                "ADMIN_TOKEN": self._product.admin_token,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    def fault(self, step: str, **fault: Any) -> None:
        self._emulator.put("/_local/faults", json={step: fault}).raise_for_status()

    def account(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Its databases and Workers, of those of this name."""
        account = self._emulator.get("/_local/account").json()
        databases, workers = (
            [each for each in account[kind] if each["name"] == self.name]
            for kind in ("databases", "workers")
        )
        return databases, workers

    def files(self) -> list[Path]:
        return [*FOLDER.glob(f"{self.environment}.*"), config_file(self.environment)]

    def clean(self) -> None:
        for path in self.files():
            path.unlink(missing_ok=True)


@pytest.fixture
def deployment(product: Product, emulator: httpx.Client) -> Iterator[Deployment]:
    made = Deployment(product, emulator)
    yield made
    made.clean()


def test_a_deployment_is_made_and_continues_after_a_cut(
    deployment: Deployment, product: Product, tmp_path: Path
) -> None:
    code, said = deployment.run("--dry-run")
    assert code == 0 and f"would create the D1 database {deployment.name}" in said, said
    assert deployment.account() == ([], [])
    assert not any(path.exists() for path in deployment.files() if path.suffix == ".json")

    deployment.fault("d1:create", kind="malformed_json", times=1)  # it is made, the answer is not
    code, said = deployment.run()
    assert code == 1 and "run the same command again" in said, said
    [database], workers = deployment.account()
    assert workers == []

    code, said = deployment.run()
    assert code == 0 and "WARNING" not in said and "wrangler warns" not in said, said
    assert re.search(r"Check: .* answers\. “.*” goes to \w+ in \d+ ms", said), said
    assert re.search(r"Estimated cost: \$[\d.]+ a month", said), said
    assert product.admin_token not in said
    databases, [worker] = deployment.account()
    assert databases == [database]
    _check_worker(worker, database["uuid"], said)
    with http_client(str(product.local_ai_url)) as api:
        answer = api.post(
            f"/client/v4/accounts/a/d1/database/{database['uuid']}/query",
            headers={"authorization": "Bearer a-token"},
            json={"sql": "SELECT count(*) AS applied FROM d1_migrations"},
        ).json()
    applied = answer["result"][0]["results"][0]["applied"]
    assert applied == len([*MIGRATIONS.glob("*.sql")])
    _check_backup(deployment, tmp_path)

    deployment.clean()  # as another checkout
    code, said = deployment.run("--dry-run", "--adopt")
    assert code == 0 and f"{deployment.name} is there, and taken over" in said, said
    assert database["uuid"] in said and "migrations are applied" in said


def _check_backup(deployment: Deployment, folder: Path) -> None:
    """wrangler exports the rows of all tables, but for those of the full-text indexes, with which
    D1 would export nothing."""
    file = folder / "backup.sql"
    code, said = deployment.command(
        "backup", "--no-setup", "--env", deployment.environment, "--output", str(file)
    )
    assert code == 0, said
    dump = read_dump(file)
    assert dump.version == SCHEMA_VERSION and dump.rows["revision"] == 1
    assert dump.others == {}


def _check_worker(worker: dict[str, Any], database: str, said: str) -> None:
    """It has all that it needs, and nothing of the tools beside it."""
    modules = worker["modules"]
    needed = {"entry.py", "word_vectors/table.bin", "python_modules/pydantic/__init__.py"}
    assert needed <= set(modules)
    assert any(re.search(r"pydantic_core/.*\.so$", name) for name in modules)
    assert {name.partition("/")[0] for name in modules}.isdisjoint(NOT_UPLOADED)
    own = [Path(name).name for name in modules if name.startswith("edgeneuro/")]
    assert [name for name in own if re.search(r"scripted|sqlite|fake|testing", name)] == []
    bindings = {each["name"]: each for each in worker["bindings"]}
    assert bindings["DB"]["id"] == database
    assert bindings["ADMIN_TOKEN"] == {"name": "ADMIN_TOKEN", "type": "secret_text"}
    assert bindings["AI_GATEWAY_URL"]["text"].endswith("/default")
    assert worker["workers_dev"] and len(worker["schedules"]) == 2
    size = re.search(r"([\d.]+) MB compressed", said)
    assert size is not None and float(size[1]) * 1e6 < MAX_BYTES_GZIPPED, said
