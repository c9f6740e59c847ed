"""Adapters over HTTP, through real workerd and D1, to the emulator's fine-tune API: a file of a
real size, and faults at every step."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.waiting import until as wait_until
from tests.worker.adapters import ATTENTION, CONFIG, GEMMA, WEIGHTS, write_adapter
from tests.worker.product import Product

SECONDS = 120


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_adapter(tmp_path_factory.mktemp("adapter"))


@pytest.fixture
def patient(client: httpx.Client) -> Iterator[httpx.Client]:
    client.timeout = httpx.Timeout(SECONDS)
    yield client


def send(client: httpx.Client, name: str, folder: Path, path: str = "/v1/loras") -> httpx.Response:
    with (folder / CONFIG).open("rb") as config, (folder / WEIGHTS).open("rb") as weights:
        fields = {"name": name, "base_model": GEMMA}
        return client.post(path, data=fields, files={CONFIG: config, WEIGHTS: weights})


def until(client: httpx.Client, lora_id: str, *states: str, error: bool = False) -> dict[str, Any]:
    """The adapter once the cron has brought it into one of these states."""

    def look() -> dict[str, Any]:
        found: dict[str, Any] = client.get(f"/v1/loras/{lora_id}").raise_for_status().json()
        return found

    def holds(found: dict[str, Any]) -> bool:
        return found["state"] in states and (found["error"] is not None or not error)

    return wait_until(look, holds)


def test_files_of_a_real_size_become_a_model_that_routes(
    patient: httpx.Client, product: Product, tmp_path: Path
) -> None:
    adapter = write_adapter(tmp_path, ATTENTION)
    begun = send(patient, "whole-v1", adapter)
    assert begun.status_code == 202, begun.text
    made = until(patient, begun.json()["id"], "available", "failed")
    assert made["state"] == "available", made
    assert made["checksum"] == hashlib.sha256((adapter / WEIGHTS).read_bytes()).hexdigest()
    assert made["size"] == (adapter / WEIGHTS).stat().st_size
    if product.state is not None:
        kept = product.state / "edgeneuro" / "finetunes"
        arrived = [file.read_bytes() for file in kept.rglob(WEIGHTS)]
        assert (adapter / WEIGHTS).read_bytes() in arrived
    routed = patient.post("/v1/route", json={"query": "My VPN is down", "model": "whole-v1"})
    assert routed.json()["attempts"][0]["adapter"] == "whole-v1"
    assert routed.json()["attempts"][0]["outcome"] == "ok"
    page = patient.get("/v1/loras").json()
    assert page["slots"]["used"] >= 1
    assert "whole-v1" not in {each["name"] for each in page["drift"]}


@pytest.mark.parametrize("key", ["finetunes:create", "finetunes:assets"])
def test_a_fault_on_the_way_leaves_a_record_and_a_retry_goes_on(
    patient: httpx.Client, emulator: httpx.Client, adapter: Path, key: str
) -> None:
    name = f"faulty-{key.partition(':')[2]}"
    fault = {key: {"kind": "error", "code": 5006, "times": 1}}
    emulator.put("/_local/faults", json=fault).raise_for_status()
    lora_id = send(patient, name, adapter).json()["id"]
    failed = until(patient, lora_id, "failed")
    assert failed["error"]["step"] in ("create", "upload_config")
    assert not failed["error"]["retryable"]
    models = {each["id"] for each in patient.get("/v1/models").json()["data"]}
    assert name not in models
    assert patient.post(f"/v1/loras/{lora_id}/retry").status_code == 202
    assert until(patient, lora_id, "available", "failed")["state"] == "available"


def test_a_finetune_that_is_there_is_registered_by_its_name(
    patient: httpx.Client, emulator: httpx.Client
) -> None:
    api = "/client/v4/accounts/local/ai/finetunes/"
    fields = {"model": GEMMA, "name": "by-name-v1", "description": ""}
    made = emulator.post(api, json=fields).raise_for_status().json()["result"]
    body = {"name": "by-name-v1", "base_model": GEMMA}
    lora_id = patient.post("/v1/loras", json=body).json()["id"]
    waiting = until(patient, lora_id, "running", "failed", error=True)
    assert waiting["error"]["step"] == "probe", "its files are not there"
    for file in (CONFIG, WEIGHTS):
        form = {"file_name": file}
        sent = emulator.post(
            f"{api}{made['id']}/finetune-assets/", data=form, files={"file": b"{}"}
        )
        assert sent.status_code == 200, sent.text
    assert until(patient, lora_id, "available", "failed")["state"] == "available"


def test_what_the_rules_refuse_is_told_line_by_line(patient: httpx.Client, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path, r=64, model_type="llama")
    refused = send(patient, "refused-v1", folder)
    assert refused.status_code == 400, refused.text
    body = refused.json()
    assert body["error"]["code"] == "adapter_refused"
    failed = {check["rule"] for check in body["checks"] if check["passed"] is False}
    assert {"rank", "model_type"} <= failed
    judged = send(patient, "refused-v1", folder, "/v1/loras/preflight").json()
    assert (judged["ok"], judged["checks"]) == (False, body["checks"])
