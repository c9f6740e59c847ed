"""The tiny Llama, made once."""

from pathlib import Path

import pytest

from tests.tiny_llama import make_tiny_llama
from tests.trainer.exports import SYSTEM, questions


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [SYSTEM, *(question for question, _ in questions(50))]
    return make_tiny_llama(tmp_path_factory.mktemp("tiny-llama"), texts)
