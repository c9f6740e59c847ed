"""The key by which a script calls a running product. It is never a word of the command line, which
every user of the machine can read in the list of processes."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scripts.http import HERE
from scripts.options import admin_token_file
from scripts.paths import STATE
from scripts.private import read_private

_ADVICE = (
    "a key on the command line is visible to every user of this machine; put it into the variable"
    " ADMIN_TOKEN, or into a file that --key-file names (- reads standard input)"
)


class _RefusedKey(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        parser.error(_ADVICE)


def add_key_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--key", nargs="?", action=_RefusedKey, help=argparse.SUPPRESS)
    parser.add_argument(
        "--key-file",
        metavar="FILE",
        help="with the key, - for standard input; else the variable ADMIN_TOKEN, else, on this"
        " machine, the local installation's token",
    )


def key_of(options: argparse.Namespace) -> str:
    """The key that the options, the environment or, for a product on this machine, its own state
    give. Ends the program if there is none."""
    if options.key_file == "-":
        key = sys.stdin.readline()
    elif options.key_file is not None:
        key = Path(options.key_file).read_text(encoding="utf-8")
    else:
        is_local = urlsplit(options.base_url).hostname in HERE
        key = os.environ.get("ADMIN_TOKEN") or (_local_token() if is_local else "")
    if not key.strip():
        sys.exit("There is no key: set ADMIN_TOKEN, or name a file with --key-file.")
    return key.strip()


def _local_token() -> str:
    state = os.environ.get("EDGENEURO_STATE")
    path = admin_token_file(Path(state).expanduser() if state else STATE)
    return read_private(path) if path.exists() else ""
