"""The bench of decision models over a data set folder, against the emulator."""

import json
from pathlib import Path

import httpx
import pytest

from bench.decision_models import main
from tests.worker.product import Product

DECISION = "@cf/cloudflare/clef-omni"
MODEL = "@cf/meta/llama-3.2-1b-instruct"
OTHER = "@cf/ibm-granite/granite-4.0-h-micro"
Lines = list[tuple[str, str, str | None]]
TRAIN: Lines = [
    ("my vpn does not connect", "vpn", "network"),
    ("the wifi has no signal", "wifi", "network"),
    ("how many vacation days are left", "vacation", "leave"),
    ("i am sick and stay at home", "sick_leave", "leave"),
]
VALIDATION: Lines = [
    ("the vpn on my laptop cannot connect", "vpn", "network"),
    ("there is no wifi signal in the meeting room", "wifi", "network"),
    ("may i take two vacation days", "vacation", "leave"),
    ("i stay at home because i am sick", "sick_leave", "leave"),
]
OUT_OF_SCOPE: Lines = [("qwerty zxcvb poiuy", "oos", None)]
QUERIES = len(VALIDATION) + len(OUT_OF_SCOPE)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    parts = {"train": TRAIN, "validation": VALIDATION, "oos_validation": OUT_OF_SCOPE}
    for name, lines in parts.items():
        text = "".join(
            json.dumps({"query": query, "intent": intent, "agent": agent}) + "\n"
            for query, intent, agent in lines
        )
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def run(
    product: Product, monkeypatch: pytest.MonkeyPatch, data: Path, models: tuple[str, ...]
) -> None:
    monkeypatch.setenv("ADMIN_TOKEN", product.admin_token)
    main(["--data", str(data), "--base-url", product.base_url, "--models", ",".join(models)])


def test_one_row_for_each_model(
    product: Product,
    client: httpx.Client,
    emulator: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    data: Path,
) -> None:
    emulator.put("/_local/faults", json={OTHER: {"kind": "unknown_agent"}}).raise_for_status()
    run(product, monkeypatch, data, (DECISION, MODEL, OTHER))
    text = capsys.readouterr().out
    assert f"{QUERIES} queries, {len(VALIDATION)} in scope; 2 agents" in text
    rows = {
        cells[0]: cells[1:]
        for cells in (
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in text.splitlines()
            if line.startswith("| @cf")
        )
    }
    for model in (DECISION, MODEL):
        n, accuracy, out_of_scope, false_accepts, ece, p50, p95, cost, failures = rows[model]
        assert (n, failures) == (str(QUERIES), "0")
        assert accuracy.startswith("100.0%")
        assert (out_of_scope, false_accepts) == ("100.0%", "0.0%")
        assert 0 <= float(ece) <= 1 and 0 < float(p50) <= float(p95)
        assert float(cost) > 0
    assert (rows[OTHER][0], rows[OTHER][-1]) == (str(QUERIES), str(QUERIES))
    assert f"{OTHER}: {QUERIES} failed with invalid_output" in text
    assert "say nothing about the models" in text
    agents = client.get("/v1/agents").json()["data"]
    assert not [agent["id"] for agent in agents if agent["id"].startswith("bench_")]


def test_an_unknown_model_ends_the_run_before_anything_is_created(
    product: Product,
    client: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    data: Path,
) -> None:
    before = client.get("/v1/audit").json()["data"]
    with pytest.raises(SystemExit, match="no-such-model"):
        run(product, monkeypatch, data, ("no-such-model",))
    assert client.get("/v1/audit").json()["data"] == before
