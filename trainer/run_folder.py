"""The folder of a training: its checkpoints while it runs, and the finished adapter. Incomplete
files never have their final names: a kill at any moment leaves the former adapter, or none."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainer.errors import TrainingError

_RUN = "run.json"
_STATE = "trainer_state.json"  # the last file of a checkpoint to be written


class RunFolder:
    def __init__(self, out: Path) -> None:
        self.out = out
        self.checkpoints = out / "checkpoints"

    def begin(self, run: dict[str, Any], *, fresh: bool) -> Path | None:
        """The checkpoint to continue from; None for a new run. `run` is everything that the adapter
        depends on. Raises TrainingError if the folder has another unfinished run with a
        checkpoint."""
        file = self.checkpoints / _RUN
        if fresh or self._newest() is None:
            shutil.rmtree(self.checkpoints, ignore_errors=True)
        if file.exists():
            if not _is_json(file) or json.loads(file.read_text(encoding="utf-8")) != run:
                raise TrainingError(
                    f"{self.out} has an unfinished training with other options or data. Name"
                    " another folder with --out, or start again over it with --fresh."
                )
            return self._newest()
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(run, indent=2))
        return None

    def end(self) -> None:
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def _newest(self) -> Path | None:
        """A checkpoint that was cut off in the writing is none."""
        found = [each.parent for each in self.checkpoints.glob(f"checkpoint-*/{_STATE}")]
        whole = [each for each in found if _is_json(each / _STATE)]
        return max(whole, key=lambda each: int(each.name.rpartition("-")[2]), default=None)

    @contextmanager
    def parts(self) -> Iterator[Path]:
        """A folder whose files become those of `out` at its end. The former weights go first and
        the new ones come last: weights never stand beside another training's configuration."""
        part = self.out / ".part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            yield part
            names = sorted(part.iterdir(), key=lambda each: (_is_weights(each), each.name))
            for each in filter(_is_weights, names):
                (self.out / each.name).unlink(missing_ok=True)
            for each in names:
                os.replace(each, self.out / each.name)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _is_weights(path: Path) -> bool:
    return path.suffix == ".safetensors"


def write_whole(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True
