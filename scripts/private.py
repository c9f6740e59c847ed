"""Files and folders that only this user reads. A symbolic link in their place is not followed."""

import os
import secrets
from pathlib import Path

TOKEN_BYTES = 24  # 32 characters


def private_folder(path: Path) -> None:
    """Creates the folder and missing parents with mode 0700. An existing folder gets that mode too,
    so it must belong to EdgeNeuro; existing parents keep theirs."""
    for missing in reversed([each for each in path.parents if not each.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    path.chmod(0o700)


def write_private(path: Path, text: str) -> None:
    """Writes the file with mode 0600. A file or link that is there is replaced, never written
    through: the text goes into a new file beside it first."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def stored_token(path: Path) -> str:
    """The token in the file; a random one is written where there is none. Raises OSError, also for
    a symbolic link."""
    if not path.exists() and not path.is_symlink():
        private_folder(path.parent)
        write_private(path, secrets.token_urlsafe(TOKEN_BYTES) + "\n")
    return read_private(path)


def read_private(path: Path) -> str:
    """The text of the file without blanks at its ends. Raises OSError, also for a symbolic link."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW)) as file:
        return file.read().strip()
