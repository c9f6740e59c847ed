"""`npm run classifier`: the same code from a terminal."""

import json
from pathlib import Path

import pytest

from edgeneuro.classifier.model import loads
from edgeneuro.classifier.vectors import load_table
from edgeneuro.settings import Settings
from edgeneuro.store.classifiers import read_model
from edgeneuro_testing.sqlite import SqliteDatabase
from scripts.classifier import main
from tests.unit.conftest import Product, add_agents
from tests.unit.test_machine_label_training import decide
from tests.unit.trainings import AGENTS, import_labels, train


async def test_an_exported_file_makes_the_very_bytes_of_the_product(
    database: SqliteDatabase,
    settings: Settings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With word vectors."""
    product = await add_agents(Product(database, settings, read_vectors=load_table))
    await import_labels(product, 25)
    made = await train(product, seed=3)
    exported = await product.call("GET", "/v1/datasets/export?format=flat&manifest=true")
    data, out = tmp_path / "labels.jsonl", tmp_path / "model.bin"
    data.write_text(exported.text, encoding="utf-8")
    agents = tmp_path / "agents.json"
    agents.write_text((await product.call("GET", "/v1/agents")).text, encoding="utf-8")
    options = ["--target", "0.9", "--seed", "3", "--agents", str(agents)]
    main(["train", "--data", str(data), "--out", str(out), *options])
    assert out.read_bytes() == await read_model(product.database, made["id"])
    assert loads(out.read_bytes()).labels == made["labels"]
    shown = capsys.readouterr().out
    assert made["version"] in shown
    assert str(made["metrics"]["coverage"]) in shown


async def test_machine_labels_in_the_file_are_learned_as_such(
    database: SqliteDatabase, settings: Settings, tmp_path: Path
) -> None:
    product = await add_agents(Product(database, settings, read_vectors=load_table))
    await import_labels(product, 25)
    await decide(product, 15, agents=(*AGENTS, "none"))
    made = await train(product, seed=4)
    exported = await product.call("GET", "/v1/datasets/export?format=flat&source=all")
    data, out = tmp_path / "labels.jsonl", tmp_path / "model.bin"
    data.write_text(exported.text, encoding="utf-8")
    agents = tmp_path / "agents.json"
    agents.write_text((await product.call("GET", "/v1/agents")).text, encoding="utf-8")
    options = ["--target", "0.9", "--seed", "4", "--agents", str(agents)]
    main(["train", "--data", str(data), "--out", str(out), *options])
    inside = loads(await read_model(product.database, made["id"]))
    assert loads(out.read_bytes()).examples == inside.examples
    assert inside.labels > made["labels"] > 0


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (['{"query": "a"}'], "line 1: needs query and agent"),
        (['{"query": "a", "agent": "hr"}', "no json"], "line 2"),
        (['{"query": 7, "agent": "hr"}'], "line 1: query and agent are texts"),
        (['{"query": "a", "agent": "none"}'], "no label names an agent"),
        ([json.dumps({"query": f"leave {n}", "agent": "hr"}) for n in range(20)], "Never answered"),
    ],
)
def test_a_file_that_nothing_can_be_learned_from_is_told(
    tmp_path: Path, lines: list[str], why: str
) -> None:
    data, out = tmp_path / "labels.jsonl", tmp_path / "model.bin"
    data.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["train", "--data", str(data), "--out", str(out)])
    assert why in str(ended.value)
    assert not out.exists()


def test_the_file_and_the_model_go_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--data", str(tmp_path / "labels.jsonl")])
    assert "--out" in capsys.readouterr().err


def test_a_product_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_TOKEN", "k")
    with pytest.raises(SystemExit) as ended:
        main(["list", "--base-url", "http://127.0.0.1:9"])
    assert "npm start" in str(ended.value)
