"""Which database a command works on."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.backups.databases import DeployedDatabase, LocalDatabase, TargetDatabase
from scripts.deploy import new_context
from scripts.deployment.account import ACCOUNT
from scripts.deployment.context import run_deployment
from scripts.deployment.options import read_options
from scripts.deployment.record import FOLDER, PRODUCTION, read_record
from scripts.deployment.upload import CONFIG
from scripts.paths import STATE
from scripts.setup import prepare_wrangler
from scripts.steps import InUse, StepFailed, only_one


def add_database_options(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--env",
        dest="environment",
        metavar="ENV",
        default=PRODUCTION,
        help="the deployment, as `npm run deploy` knows it; default production",
    )
    which.add_argument(
        "--local",
        action="store_true",
        help="the installation that `npm start` runs; EDGENEURO_STATE names its folder",
    )
    parser.add_argument(
        "--no-setup", dest="setup", action="store_false", help="install nothing first"
    )


@contextmanager
def chosen_database(options: argparse.Namespace, *, alone: bool) -> Iterator[TargetDatabase]:
    """`alone`: nothing else may use a local one meanwhile. A local one is read without wrangler.
    Raises StepFailed."""
    if options.setup and (alone or not options.local):
        prepare_wrangler()
    if not options.local:
        with _deployed(options.environment) as deployed:
            yield deployed
        return
    state = os.environ.get("EDGENEURO_STATE")
    local = LocalDatabase(Path(state).expanduser().resolve() if state else STATE)
    if not alone:
        yield local
        return
    with local.alone():
        yield local


@contextmanager
def _deployed(environment: str) -> Iterator[TargetDatabase]:
    try:
        with only_one(FOLDER / f"{environment}.lock"):
            # Before the login: who means the local installation has no account.
            if not read_record(environment).database_id:
                raise StepFailed(
                    f"This checkout knows no database of a deployment {environment}.",
                    f"`npm run deploy -- --env {environment}` makes one or takes it over;"
                    " --local is the installation that `npm start` runs.",
                )
            context = new_context(read_options(["--env", environment]))
            run_deployment(context, [ACCOUNT, CONFIG])
            yield DeployedDatabase(context)
    except InUse as error:
        raise StepFailed(
            f"Another command works on the deployment {environment} in this checkout.",
            "wait until it has ended.",
        ) from error
