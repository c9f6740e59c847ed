"""A failure of the machine gets a clear message; an error of the program stays one."""

import errno
import os
from pathlib import Path

import pytest
import torch

from trainer.errors import machine_failure

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
        message = machine_failure(caught.value, OUT)
        assert message is not None
        assert message.startswith("The disk is full (adapter). Make room")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), "--batch-size or --max-length, or"),
        (MemoryError(), "The memory is full"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "The memory is full"),
        # safetensors' own words on a disk of 300 KB
        (Exception("I/O error: No space left on device (os error 28)"), "The disk is full"),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/x"), "/x: Permission denied."),
    ],
)
def test_each_failure_has_its_message(error: Exception, message: str) -> None:
    assert message in str(machine_failure(error, OUT))


def test_a_fault_of_the_program_is_not_hidden() -> None:
    assert machine_failure(RuntimeError("shapes do not match"), OUT) is None
    assert machine_failure(KeyError("labels"), OUT) is None
