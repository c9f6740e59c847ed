"""A tiny Llama that takes each agent for the other, made once, and one thread for all of them."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tiny_llama import one_thread, teach
from tests.trainer.exports import write_export
from trainer.data import read_data


@pytest.fixture(autouse=True)
def of_one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="session")
def taught_llama(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bases") / "taught-llama"
    shutil.copytree(tiny_llama, folder)
    data = read_data(write_export(tmp_path_factory.mktemp("lessons") / "lines", 60))
    one, other = sorted(data.answers)
    swapped = {one: other, other: one}
    lessons = [replace(each, completion=swapped[each.completion]) for each in data.examples]
    return teach(folder, lessons)
