"""What a machine may lack in the middle of a training, in plain words."""

import errno
from pathlib import Path

_GOES_ON = "the same command goes on from the last look"


def in_plain_words(error: Exception, out: Path) -> str | None:
    """None for what is no failure of the machine, but a fault of the program."""
    if type(error).__name__ == "OutOfMemoryError":  # PyTorch's, which need not be there
        return (
            "The GPU's memory is full. Choose a smaller --batch-size or --max-length, or hold the"
            " base in 4 bits with --4bit. What was learned up to the last look is kept:"
            f" {_GOES_ON}, another --batch-size needs another --out."
        )
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error):
        return "The memory is full. Choose a smaller --batch-size, or a smaller base model."
    if _is_disk_full(error):
        return f"The disk is full ({out}). Make room, and give the same command again: {_GOES_ON}."
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}. Choose another folder with --out."
    return None


def _is_disk_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOSPC
    # safetensors says it in words; PyTorch says only where in its archive a writing has failed.
    return "os error 28" in str(error) or "inline_container" in str(error)
