"""The real wrangler against the emulator: what it says, which its exit code does not, and what is
there afterwards."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.wrangler import environment, wrangler
from tests.local.test_main import start

GEMMA = "@cf/google/gemma-2b-it-lora"
WEIGHTS = os.urandom(3_000_000)


@dataclass
class Account:
    """An emulator of its own, as `wrangler` and its API see it."""

    emulator: httpx.Client
    folder: Path

    def wrangler(self, *words: str | Path) -> str:
        ran = subprocess.run(
            wrangler("ai", "finetune", *words),
            cwd=self.folder,
            env={
                **environment(self.folder),
                "CLOUDFLARE_API_BASE_URL": f"{self.emulator.base_url}/client/v4",
                "CLOUDFLARE_ACCOUNT_ID": "acc",
                "CLOUDFLARE_API_TOKEN": "token",
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout + ran.stderr

    def finetunes(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self.emulator.get(
            "/client/v4/accounts/acc/ai/finetunes"
        ).json()["result"]
        return listed

    def run(self, lora: str) -> httpx.Response:
        body = {"prompt": "hello", "lora": lora}
        return self.emulator.post(f"/client/v4/accounts/acc/ai/run/{GEMMA}", json=body)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("wrangler")
    with start(LOCAL_AI_FINETUNES=str(folder / "finetunes")) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        with httpx.Client(base_url=url, timeout=30) as emulator:
            yield Account(emulator, folder)
        process.kill()


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    (tmp_path / "adapter_config.json").write_text('{"model_type": "gemma"}')
    (tmp_path / "adapter_model.safetensors").write_bytes(WEIGHTS)
    (tmp_path / "README.md").write_text("not uploaded")
    return tmp_path


def test_create_and_list(account: Account, adapter: Path) -> None:
    said = account.wrangler("create", GEMMA, "router-1", adapter)
    assert 'Assets uploaded, finetune "router-1" is ready to use.' in said
    (listed,) = [tuned for tuned in account.finetunes() if tuned["name"] == "router-1"]
    files = sorted((account.folder / "finetunes" / listed["id"]).iterdir())
    assert [file.name for file in files] == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "meta.json",
    ]
    assert files[1].read_bytes() == WEIGHTS
    assert json.loads(account.wrangler("list", "--json")) == account.finetunes()
    assert account.run("router-1").status_code == 200


def test_a_failed_upload_leaves_half_a_finetune(account: Account, adapter: Path) -> None:
    fault = {"finetunes:assets": {"kind": "error", "code": 3040, "share": 0.5, "times": 1}}
    account.emulator.put("/_local/faults", json=fault).raise_for_status()
    said = account.wrangler("create", GEMMA, "router-2", adapter)
    assert "Couldn't upload file" in said
    assert "Assets uploaded" not in said
    assert "router-2" in [tuned["name"] for tuned in account.finetunes()]
    assert account.run("router-2").json()["errors"][0]["code"] == 3039


def test_a_model_without_adapters(account: Account, adapter: Path) -> None:
    said = account.wrangler("create", "@cf/meta/llama-3.2-1b-instruct", "router-3", adapter)
    assert "MODEL_NOT_SUPPORTED" in said
    assert "router-3" not in [tuned["name"] for tuned in account.finetunes()]
