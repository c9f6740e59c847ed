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
    """Returns where they are here; else sets them up, and goes on in the other Python."""
    if all(importlib.util.find_spec(name) for name in _NEEDED):
        return
    if paths.PYTHON.exists() and os.path.samefile(sys.prefix, paths.VENV):
        missing = ", ".join(name for name in _NEEDED if not importlib.util.find_spec(name))
        print(f"Missing in {paths.VENV}: {missing}", flush=True)
    try:
        prepare_training()
    except StepFailed as failure:
        give_up("Installing the packages for training", failure)
    script = str(paths.ROOT / "train_lora.py")
    os.execv(paths.PYTHON, [str(paths.PYTHON), script, *words])
