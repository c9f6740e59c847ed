"""train_lora.py on a tiny Llama: what it writes, refuses, and survives."""

import hashlib
import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors import safe_open

from edgeneuro.adapter.preflight import AdapterFacts, check_adapter
from edgeneuro.adapter.safetensors import header_end
from tests.trainer.exports import write_export
from tests.trainer.program import command, start_training, train
from tests.waiting import until
from trainer.options import read_options

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
SMALL = (
    *("--batch-size", "16", "--eval-every", "10", "--learning-rate", "0.01"),
    *("--rank", "8", "--target-modules", "o_proj", "down_proj", "--threads", "1"),
)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_export(tmp_path_factory.mktemp("export") / "train.jsonl", 60)


@pytest.fixture(scope="module")
def trained(taught_llama: Path, export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training, with what it printed in `printed`."""
    folder = tmp_path_factory.mktemp("trained")
    words = ("--base-model", taught_llama, "--data", export, "--max-steps", "30", *SMALL)
    done = train(*words, folder=folder)
    assert done.returncode == 0, done.stderr
    (folder / "printed").write_text(done.stdout)
    return folder


def test_it_learns_and_says_how_well(trained: Path, export: Path) -> None:
    card = json.loads((trained / "adapter" / "training_card.json").read_text())
    assert card["metrics"]["accuracy"] > 0.9, card
    assert card["metrics"]["accuracy_before"] == 0
    assert card["metrics"]["loss"] < card["metrics"]["loss_before"]
    assert card["data"]["sha256"] == hashlib.sha256(export.read_bytes()).hexdigest()
    assert card["data"]["rows"] == 120
    assert card["parameters"]["rank"] == 8
    assert (card["held_out"]["path"], card["held_out"]["sha256"]) == (
        card["data"]["path"],
        card["data"]["sha256"],
    )
    assert str(trained.parent) not in json.dumps(card), "no path of this machine"
    assert {"torch", "transformers", "peft", "trl"} <= set(card["versions"])
    assert "right agents 0.0% ->" in (trained / "printed").read_text()
    readme = (trained / "adapter" / "README.md").read_text()
    assert f"{card['metrics']['accuracy']:.1%}" in readme


def test_the_folder_is_what_cloudflare_takes_and_no_more(trained: Path, taught_llama: Path) -> None:
    adapter = trained / "adapter"
    assert {file.name for file in adapter.iterdir()} == {
        *(CONFIG, WEIGHTS, "training_card.json", "README.md", "learning_curve.png")
    }
    config = json.loads((adapter / CONFIG).read_text())
    assert (config["model_type"], config["r"]) == ("llama", 8)
    assert config["base_model_name_or_path"] == taught_llama.name, "no path of this machine"
    weights = (adapter / WEIGHTS).read_bytes()
    report = check_adapter(
        names=[CONFIG, WEIGHTS],
        config=(adapter / CONFIG).read_bytes(),
        weights_start=weights[: header_end(weights[:8], len(weights))],
        weights_size=len(weights),
        facts=AdapterFacts(base="@local/tiny", supports_lora=True, slots_used=0),
    )
    assert not report.failures, report.failures
    with safe_open(adapter / WEIGHTS, "pt") as tensors:
        assert len(list(tensors.keys())) == 2 * 2 * 2  # layers, modules, matrices
    card = json.loads((adapter / "training_card.json").read_text())
    assert card["adapter_sha256"] == hashlib.sha256(weights).hexdigest()
    assert (adapter / "learning_curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_seed_alone_makes_the_adapter(taught_llama: Path, export: Path, tmp_path: Path) -> None:
    """Where several threads share a sum, its order must not change. With one thread, the test of a
    killed training makes the same adapter twice."""
    words = ("--base-model", taught_llama, "--data", export, *SMALL, "--threads", "2")
    made = {}
    for name, seed in (("one", "1"), ("another", "1"), ("of_seed_2", "2")):
        some = ("--max-steps", "10", "--seed", seed, "--out", name)
        done = train(*words, *some, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        made[name] = (tmp_path / name / WEIGHTS).read_bytes()
    assert made["one"] == made["another"] != made["of_seed_2"]


def test_killed_in_the_middle_it_goes_on_to_the_same_adapter(
    trained: Path, taught_llama: Path, export: Path, tmp_path: Path
) -> None:
    words = ("--base-model", taught_llama, "--data", export, "--max-steps", "30", *SMALL)
    process = start_training(*words, folder=tmp_path)
    checkpoint = tmp_path / "adapter" / "checkpoints" / "checkpoint-20"
    until(lambda: checkpoint.exists() or not process.is_alive())
    assert checkpoint.exists()
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not (tmp_path / "adapter" / WEIGHTS).exists()
    changed = train(*words, "--rank", "2", folder=tmp_path)
    assert changed.returncode == 1
    assert "an unfinished training with other options" in changed.stderr
    resumed = train(*words, folder=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "Continuing from checkpoint-" in resumed.stdout
    assert (tmp_path / "adapter" / WEIGHTS).read_bytes() == (
        trained / "adapter" / WEIGHTS
    ).read_bytes()
    assert not (tmp_path / "adapter" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--rank", "64"), "Workers AI would refuse this adapter: rank"),
        (
            ("--rank", "16", "--cloudflare-base", "@cf/google/gemma-2b-it-lora"),
            "Workers AI would refuse this adapter: rank",
        ),
        (("--target-modules", "o_prof"), "Target modules {'o_prof'} not found"),
        (("--max-length", "20"), "lines have more than 20 tokens"),
        (("--4bit",), "needs a CUDA GPU"),
        (("--eval-data", "nowhere.jsonl"), "cannot be read"),
        (("--out", "/proc/nowhere"), "/proc/nowhere: No such file or directory"),
        (("--out", "/proc/nowhere", "--autotrain"), "/proc/nowhere: No such file or directory"),
    ],
)
def test_what_it_refuses_before_it_learns(
    taught_llama: Path, export: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    done = train("--base-model", taught_llama, "--data", export, *words, folder=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "adapter" / WEIGHTS).exists()


@pytest.mark.parametrize(
    "words",
    [
        ("--epochs", "0"),
        ("--epochs", "inf"),
        ("--learning-rate", "nan"),
        ("--dropout", "1"),
        ("--threads", "-3"),
        ("--max-steps", "0"),
    ],
)
def test_numbers_that_are_none(words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_options(["--base-model", "gemma-2b", "--data", "x", *words])
    assert f"argument {words[0]}: {words[1]} is not" in capsys.readouterr().err


def test_an_adapter_that_learned_nothing_is_not_written(
    taught_llama: Path, export: Path, tmp_path: Path
) -> None:
    """With far too large a learning rate it stops early; the next try needs no --fresh."""
    words = ("--base-model", taught_llama, "--data", export)
    looks = ("--max-steps", "200", "--eval-every", "1", "--patience", "2")
    done = train(*words, *looks, "--learning-rate", "50", folder=tmp_path)
    assert done.returncode == 1
    assert "The adapter has learned nothing: the held-out loss did not fall" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "adapter").iterdir()) == []


def test_it_stops_where_it_gets_no_better(taught_llama: Path, export: Path, tmp_path: Path) -> None:
    """With a large learning rate; the best step is saved. An option that was wrong
    before is in nobody's way."""
    words = ("--base-model", taught_llama, "--data", export)
    wrong = train(*words, "--target-modules", "o_prof", folder=tmp_path)
    assert wrong.returncode == 1
    looks = ("--max-steps", "200", "--eval-every", "1", "--patience", "2")
    modules = ("--target-modules", "o_proj", "down_proj", "--learning-rate", "0.1")
    done = train(*words, *looks, *modules, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "adapter" / "training_card.json").read_text())["metrics"]
    assert metrics["steps"] < 200
    assert 0 < metrics["best_step"] <= metrics["steps"] - 2
    assert metrics["loss"] < metrics["loss_before"]


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("nonsense", "is no short name"),
        ("model.gguf", "there is no file model.gguf"),
    ],
)
def test_bases_that_are_not_there(export: Path, tmp_path: Path, base: str, message: str) -> None:
    done = train("--base-model", base, "--data", export, folder=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert message in done.stderr


def test_the_hub_out_of_reach(export: Path, tmp_path: Path) -> None:
    """The notes' own command; it first prints that Workers AI takes no adapters on this one."""
    words = ("--base-model", "llama-3.2-1b", "--data", export)
    done = train(*words, folder=tmp_path)  # tests/conftest.py keeps all tests away from the Hub
    assert done.returncode == 1
    assert "Workers AI is not known to take adapters" in done.stdout
    assert "meta-llama/Llama-3.2-1B-Instruct cannot be loaded" in done.stderr
    assert "Traceback" not in done.stderr


def test_autotrains_files_instead(export: Path, tmp_path: Path) -> None:
    """By the program in a process of its own, as in all that is written about it."""
    words = command("--base-model", "gemma-2b", "--data", export, "--autotrain")
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    config: dict[str, Any] = yaml.safe_load((tmp_path / "adapter" / "config.yml").read_text())
    assert (config["task"], config["base_model"]) == ("llm-sft", "google/gemma-2b-it")
    assert config["params"]["peft"] is True
    assert config["params"]["target_modules"] == "q_proj,v_proj"
    lines = (tmp_path / "adapter" / "data" / "train.jsonl").read_text().splitlines()
    roles = [message["role"] for message in json.loads(lines[0])["messages"]]
    assert roles == ["system", "user", "assistant"]
    assert "autotrain --config" in done.stdout
