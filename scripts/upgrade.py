"""`npm run upgrade`: brings a deployment to the version of this checkout, after a backup.

`npm run upgrade -- --help` lists the options; docs/upgrade.md explains them.
"""

import sys

# Before any import that an older Python cannot read, and ruff thinks there is none.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("EdgeNeuro needs Python 3.11 or newer; this is " + sys.version.split()[0] + ".")

import argparse
from collections.abc import Sequence
from urllib.parse import quote

from scripts.backups.databases import DeployedDatabase
from scripts.backups.taking import FOLDER, take_backup
from scripts.deploy import STEPS, run_command
from scripts.deployment.context import Context, DeployStep, Found
from scripts.deployment.options import read_options
from scripts.deployment.resources import pending_migrations
from scripts.deployment.upload import TABLES
from scripts.paths import MIGRATIONS
from scripts.steps import StepFailed

DESCRIPTION = """\
Bring a deployment to the version of this checkout: a backup, the migrations that are missing, the
Worker, and a check of what answers.

  npm run upgrade -- --dry-run      show what would be done
  npm run upgrade                   the deployment production
  npm run upgrade -- --env staging

Other words are those of `npm run deploy`. A failed upgrade continues with the same command.
"""


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="npm run upgrade --",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--no-backup",
        dest="backup",
        action="store_false",
        help="take none; D1's Time Travel still has the last 30 days",
    )
    options, others = parser.parse_known_args(words)
    run_command(read_options(others), steps(backup=options.backup))


def steps(*, backup: bool = True) -> tuple[DeployStep, ...]:
    """Those of a deployment. The backup comes after all that changes no row, right before the
    migrations, and there must be something to upgrade."""
    at = STEPS.index(TABLES)
    before = [DEPLOYED, *STEPS[:at], BOOKMARK]
    return (*before, *([BACKUP] if backup else []), *STEPS[at:])


def look_for_deployment(context: Context) -> Found:
    record = context.record
    if record.upload != "done" or not record.database_id:
        raise StepFailed(
            f"This checkout knows no deployment {record.environment}.",
            f"`npm run deploy -- --env {record.environment}` makes one, or takes one over.",
        )
    return Found(f"{record.name} at {record.address}")


def look_at_bookmark(context: Context) -> Found:
    """Where Time Travel finds the database as it is now; looked up, as a backup is not needed to
    undo an upgrade of this month."""
    database = f"{context.account}/d1/database/{quote(context.record.database_id)}"
    found = context.api.find(f"{database}/time_travel/bookmark")
    bookmark = found.get("bookmark") if isinstance(found, dict) else None
    if not isinstance(bookmark, str):
        return Found("there is none; the backup is what undoes the upgrade")
    return Found(
        f"to undo the upgrade: npm run wrangler -- d1 time-travel restore DB --bookmark={bookmark}"
        f" --env {context.record.environment}"
    )


def look_at_backup(context: Context) -> Found:
    pending = pending_migrations(context, [each.name for each in MIGRATIONS.glob("*.sql")])
    if not pending:
        return Found("not needed, as no migration is missing")
    return Found("write all rows into a file in backups/", is_done=False)


def back_up(context: Context) -> str:
    return str(take_backup(DeployedDatabase(context), folder=context.root / FOLDER.name))


DEPLOYED = DeployStep("Deployment", look_for_deployment)
BOOKMARK = DeployStep("Time Travel", look_at_bookmark)
BACKUP = DeployStep("Backup", look_at_backup, back_up)

if __name__ == "__main__":
    main()
