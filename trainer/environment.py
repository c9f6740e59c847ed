"""The packages of a training: here, or in the checkout's own environment."""

import importlib.util
import os
import sys
from collections.abc import Sequence

from scripts import paths
from scripts.setup import prepare_training
from scripts.steps import StepFailed, give_up

_NEEDED = ("torch", "transformers", "peft", "trl", "datasets", "matplotlib")


def require_packages(words: Sequence[str]) -> None:
    """Returns if they are installed here; otherwise installs them, and continues in the other
    Python."""
    if not _missing():
        return
    try:
        prepare_training()
    except StepFailed as failure:
        give_up("Installing the packages for training", failure)
    if not os.path.samefile(sys.prefix, paths.VENV):
        script = str(paths.ROOT / "train_lora.py")
        os.execv(paths.PYTHON, [str(paths.PYTHON), script, *words])
    importlib.invalidate_caches()
    if _missing():
        sys.exit(f"{paths.VENV} lacks {', '.join(_missing())}; delete that folder, then try again.")


def _missing() -> list[str]:
    return [name for name in _NEEDED if not importlib.util.find_spec(name)]
