"""train_lora.py as a process of its own, in this one, and in a fork of it: PyTorch and transformers
take five seconds of CPU to import."""

import contextlib
import io
import logging
import multiprocessing
import os
import random
import sys
import traceback
import warnings
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import numpy
import torch
import transformers

from scripts.paths import ROOT
from train_lora import main


class Ended(NamedTuple):
    """What a run leaves behind, beside its files."""

    returncode: int
    stdout: str
    stderr: str


def command(*words: str | Path) -> list[str]:
    return [sys.executable, str(ROOT / "train_lora.py"), *map(str, words)]


def train(*words: str | Path, folder: Path) -> Ended:
    """Runs it here as the interpreter would: with the same exit status and the same output."""
    out, err = io.StringIO(), io.StringIO()
    status = 0
    with (
        _state_restored(),
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main([str(word) for word in words])
        except SystemExit as ended:
            if isinstance(ended.code, str):
                print(ended.code, file=sys.stderr)
                status = 1
            else:
                status = ended.code or 0
        except Exception:
            traceback.print_exc()
            status = 1
    return Ended(status, out.getvalue(), err.getvalue())


def start_training(*words: str | Path, folder: Path) -> BaseProcess:
    """In a process that can be killed. What it prints is shown where the test fails."""
    process = multiprocessing.get_context("fork").Process(
        target=_train_and_show, args=words, kwargs={"folder": folder}, daemon=True
    )
    process.start()
    return process


def _train_and_show(*words: str | Path, folder: Path) -> None:
    print(*train(*words, folder=folder), flush=True)


@contextlib.contextmanager
def _state_restored() -> Iterator[None]:
    """A run sets seeds, threads, filters of warnings, logging and the environment of its process;
    the next run, and every other test, finds them as they were."""
    environment = dict(os.environ)
    drawn, drawn_by_numpy = random.getstate(), numpy.random.get_state()
    threads = torch.get_num_threads()
    verbosity = transformers.logging.get_verbosity()
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    devices = list(range(torch.cuda.device_count()))
    try:
        with torch.random.fork_rng(devices), warnings.catch_warnings():
            warnings.simplefilter("default")  # as in a process of its own: no warning is an error
            yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers
        transformers.logging.set_verbosity(verbosity)
        torch.set_num_threads(threads)
        numpy.random.set_state(drawn_by_numpy)
        random.setstate(drawn)
        os.environ.clear()
        os.environ.update(environment)
