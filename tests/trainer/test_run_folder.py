"""Whatever a kill leaves behind, no weights stand beside another training's configuration."""

import json
from pathlib import Path

import pytest

from trainer.errors import TrainingError
from trainer.run_folder import RunFolder

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


class Killed(BaseException):
    """In the place of a SIGKILL."""


def fill(folder: Path, which: str) -> None:
    for name in (CONFIG, WEIGHTS):
        (folder / name).write_text(which)


def test_an_adapter_takes_the_place_of_another(tmp_path: Path) -> None:
    fill(tmp_path, "former")
    with RunFolder(tmp_path).parts() as part:
        fill(part, "new")
        assert {(tmp_path / name).read_text() for name in (CONFIG, WEIGHTS)} == {"former"}
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        CONFIG: "new",
        WEIGHTS: "new",
    }


def test_a_failure_leaves_the_former_one(tmp_path: Path) -> None:
    fill(tmp_path, "former")
    with pytest.raises(Killed), RunFolder(tmp_path).parts() as part:
        fill(part, "new")
        raise Killed
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        CONFIG: "former",
        WEIGHTS: "former",
    }


def test_a_kill_between_two_files_mixes_nothing(tmp_path: Path) -> None:
    """The second file cannot take its place: a folder of its name is in the way."""
    fill(tmp_path, "former")
    (tmp_path / "training_card.json" / "x").mkdir(parents=True)
    with pytest.raises(OSError), RunFolder(tmp_path).parts() as part:
        fill(part, "new")
        (part / "training_card.json").write_text("new")
    assert (tmp_path / CONFIG).read_text() == "new"
    assert not (tmp_path / WEIGHTS).exists()


def test_a_run_that_failed_before_it_learned_is_in_nobodys_way(tmp_path: Path) -> None:
    """Of a wrong option, say: the next try needs no --fresh."""
    folder = RunFolder(tmp_path)
    assert folder.begin({"target_modules": ["o_prof"]}, fresh=False) is None
    (folder.checkpoints / "checkpoint-5").mkdir()  # cut off in the writing
    assert folder.begin({"target_modules": ["o_proj"]}, fresh=False) is None
    stored = json.loads((folder.checkpoints / "run.json").read_text())
    assert stored == {"target_modules": ["o_proj"]}
    assert [each.name for each in folder.checkpoints.iterdir()] == ["run.json"]


def test_a_run_goes_on_only_as_it_began(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.begin({"rank": 8}, fresh=False) is None
    for step, state in ((5, "{}"), (10, "{}"), (15, "{cut off")):
        checkpoint = folder.checkpoints / f"checkpoint-{step}"
        checkpoint.mkdir()
        (checkpoint / "trainer_state.json").write_text(state)
    found = folder.begin({"rank": 8}, fresh=False)
    assert found is not None
    assert found.name == "checkpoint-10"
    with pytest.raises(
        TrainingError, match=r"another folder with --out, or start again .* --fresh"
    ):
        folder.begin({"rank": 4}, fresh=False)
    assert folder.begin({"rank": 4}, fresh=True) is None
    assert json.loads((folder.checkpoints / "run.json").read_text()) == {"rank": 4}
    assert not found.exists()
