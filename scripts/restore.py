"""`npm run restore -- FILE`: makes a database what a file of `npm run backup` says."""

import sys

# Before any import that an older Python cannot read, and ruff thinks there is none.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("EdgeNeuro needs Python 3.11 or newer; this is " + sys.version.split()[0] + ".")

import argparse
from collections.abc import Sequence
from pathlib import Path

from scripts.backups.options import add_database_options, chosen_database
from scripts.backups.restoring import restore
from scripts.signals import Stopped, stop_on_signals
from scripts.steps import StepFailed, give_up

DESCRIPTION = """\
Make a database what a backup says, and migrate it to the schema of this version.

  npm run restore -- backups/FILE.sql                  into the deployment production
  npm run restore -- backups/FILE.sql --env staging
  npm run restore -- backups/FILE.sql --local          into the installation that `npm start` runs

A database with data is left as it is unless --replace is given.
"""


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="npm run restore --",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="of `npm run backup`")
    add_database_options(parser)
    parser.add_argument(
        "--replace",
        action="store_true",
        help="delete everything that is in the database, after a backup of it",
    )
    options = parser.parse_args(words)
    stop_on_signals()
    try:
        with chosen_database(options, alone=True) as database:
            restore(options.file, database, replace=options.replace)
    except StepFailed as failure:
        give_up("Restore", failure)
    except OSError as error:
        sys.exit(f"{options.file} cannot be read: {error.strerror}.")
    except Stopped:
        sys.exit("\nStopped. The database has either all of the backup or nothing of it.")


if __name__ == "__main__":
    main()
