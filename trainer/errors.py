"""What can go wrong in a training: mistakes of the user, and what the machine lacks."""

import errno
from pathlib import Path

_CONTINUES = "the same command continues from the last evaluation"


class TrainingError(Exception):
    """The text is for the user: what is wrong, and what to do about it."""


def machine_failure(error: Exception, out: Path) -> str | None:
    """A message for a failure of the machine; None for an error in the program."""
    if type(error).__name__ == "OutOfMemoryError":  # PyTorch's, which may not be installed
        return (
            "The GPU's memory is full. Choose a smaller --batch-size or --max-length, or hold the"
            " base in 4 bits with --4bit. The progress up to the last evaluation is saved:"
            f" {_CONTINUES}, another --batch-size needs another --out."
        )
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error):
        return "The memory is full. Choose a smaller --batch-size, or a smaller base model."
    if _is_disk_full(error):
        return (
            f"The disk is full ({out}). Make room, and give the same command again: {_CONTINUES}."
        )
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}. Choose another folder with --out."
    return None


def _is_disk_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOSPC
    # safetensors has it in its message; PyTorch only says where in its archive a write failed.
    return "os error 28" in str(error) or "inline_container" in str(error)
