"""Which database a command works on."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.backups.databases import LocalDatabase, TargetDatabase
from scripts.paths import STATE
from scripts.steps import StepFailed


def add_database_options(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--env",
        dest="environment",
        metavar="ENV",
        default="production",
        help="the deployment, as `npm run deploy` knows it; default production",
    )
    which.add_argument(
        "--local",
        action="store_true",
        help="the installation that `npm start` runs; EDGENEURO_STATE names its folder",
    )


@contextmanager
def chosen_database(options: argparse.Namespace, *, alone: bool) -> Iterator[TargetDatabase]:
    """`alone`: nothing else may use a local one meanwhile. Raises StepFailed."""
    if not options.local:
        raise StepFailed("Deployments are not known yet.", "add --local.")
    state = os.environ.get("EDGENEURO_STATE")
    local = LocalDatabase(Path(state).expanduser().resolve() if state else STATE)
    if not alone:
        yield local
        return
    with local.alone():
        yield local
