"""What the machine lacks is said in plain words; a fault of the program stays one."""

import errno
import os
from pathlib import Path

import pytest
import torch

from trainer.failures import in_plain_words

OUT = Path("adapter")
FULL = Path("/dev/full")  # every write to it says that the disk is full


@pytest.mark.skipif(not FULL.is_char_device(), reason="this system has no /dev/full")
def test_a_full_disk_by_either_writer() -> None:
    with pytest.raises(OSError) as plain, FULL.open("w") as file:
        file.write("x")
        file.flush()
    with pytest.raises(RuntimeError) as of_torch:
        torch.save({"weights": torch.zeros(100_000)}, FULL)
    for caught in (plain, of_torch):
        told = in_plain_words(caught.value, OUT)
        assert told is not None
        assert told.startswith("The disk is full (adapter). Make room")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), "--batch-size or --max-length, or"),
        (MemoryError(), "The memory is full"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "The memory is full"),
        # safetensors' own words on a disk of 300 KB
        (Exception("I/O error: No space left on device (os error 28)"), "The disk is full"),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/x"), "/x: Permission denied."),
    ],
)
def test_each_has_its_mend(error: Exception, told: str) -> None:
    assert told in str(in_plain_words(error, OUT))


def test_a_fault_of_the_program_is_not_hidden() -> None:
    assert in_plain_words(RuntimeError("shapes do not match"), OUT) is None
    assert in_plain_words(KeyError("labels"), OUT) is None
