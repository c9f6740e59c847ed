"""`npm run backup`: writes all rows of an installation's database into a file that
`npm run restore` reads. It holds all that the database holds, hashes of keys and the signing
secrets of webhooks among it, and none of the Worker's secrets.
"""

import sys

# Before any import that an older Python cannot read, and ruff thinks there is none.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("EdgeNeuro needs Python 3.11 or newer; this is " + sys.version.split()[0] + ".")

import argparse
from collections.abc import Sequence
from pathlib import Path

from scripts.backups.options import add_database_options, chosen_database
from scripts.backups.taking import take_backup
from scripts.signals import Stopped, stop_on_signals
from scripts.steps import StepFailed, give_up

DESCRIPTION = """\
Write all rows of a database into a file; docs/operations.md says what is in it.

  npm run backup                       of the deployment production
  npm run backup -- --env staging
  npm run backup -- --local            of the installation that `npm start` runs

While Cloudflare makes the file, D1 answers nothing else: routing goes on with what each isolate has
in memory, and everything that needs the database fails.
"""


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="npm run backup --",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_database_options(parser)
    parser.add_argument(
        "--output", metavar="FILE", type=Path, help="a new file; else one in the folder backups/"
    )
    options = parser.parse_args(words)
    stop_on_signals()
    try:
        with chosen_database(options, alone=False) as database:
            print(take_backup(database, options.output))
    except StepFailed as failure:
        give_up("Backup", failure)
    except Stopped:
        sys.exit("\nStopped. No backup was made.")


if __name__ == "__main__":
    main()
