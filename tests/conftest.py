"""What several folders of tests share, since a start of the product takes seconds."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.guarded_product import Guarded, guarded_product

# Read by their libraries when these are imported, in this process and in those that it starts.
# No test asks the Hub of Hugging Face, or finds a model there that somebody has downloaded.
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": os.devnull}
# A thread of PyTorch that waits for another one sleeps, and does not spin on a CPU.
os.environ["OMP_WAIT_POLICY"] = "passive"
# Read when numpy is imported. local/engines/minilm sets it too, but PyTorch's tests import numpy
# before it: with two threads, which wait for each other, its tests took six times the CPU.
os.environ["OPENBLAS_NUM_THREADS"] = "1"


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """The product behind Cloudflare Access, which takes keys as any other. The tests of the pages
    use it too: before them it has to be as new."""
    with guarded_product(tmp_path_factory.mktemp("guarded")) as guarded:
        yield guarded


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a Llama of random weights; read it, and change a copy only."""
    from tests.tiny_llama import make_tiny_llama  # PyTorch, for those alone who ask for it
    from tests.trainer.exports import SYSTEM, questions

    texts = [SYSTEM, *(question for question, _ in questions(50))]
    return make_tiny_llama(tmp_path_factory.mktemp("Tiny Llama"), texts)


# What imports and the collection make stays to the end: the garbage collector need not look through
# millions of objects again and again. Nor does it look after each 700 new ones, which with
# Hypothesis's clock of it takes a fiftieth of the CPU.
gc.disable()
gc.set_threshold(50_000, 10, 10)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()
