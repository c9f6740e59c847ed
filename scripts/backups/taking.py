"""Takes a backup: the rows of all tables, in a file that is there only once it is complete."""

import itertools
import time
from collections.abc import Sequence
from pathlib import Path

from scripts.backups.databases import TargetDatabase
from scripts.backups.dump import end, first_line
from scripts.backups.schema import APPLIED, Made, data_tables, version_of
from scripts.paths import ROOT
from scripts.private import private_folder
from scripts.steps import StepFailed

FOLDER = ROOT / "backups"


def existing_schema(database: TargetDatabase) -> list[Made]:
    rows = database.rows(
        "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"
    )
    return [Made(each["type"], each["name"], each["sql"]) for each in rows]


def version_in(database: TargetDatabase, schema: Sequence[Made]) -> int:
    """The newest migration of the database, 0 if it has none."""
    if APPLIED not in [each.name for each in schema]:
        return 0
    [row] = database.rows(f"SELECT max(name) AS newest FROM {APPLIED}")
    return version_of(row["newest"] or "")


def take_backup(
    database: TargetDatabase, output: Path | None = None, *, folder: Path = FOLDER
) -> Path:
    """Returns the file: `output`, or a new one in the folder. Raises StepFailed if there is nothing
    to back up, or the file is there."""
    schema = existing_schema(database)
    version = version_in(database, schema)
    if not version:
        raise StepFailed(f"There is nothing to back up: {database.title} has no tables.")
    at = time.gmtime()
    name = f"{database.name}-{time.strftime('%Y%m%dT%H%M%SZ', at)}-schema{version}"
    file = output or _free(folder, name)
    if file.exists():
        raise StepFailed(f"{file} is there already.", "name another file with --output.")
    if output is None:
        private_folder(folder)
    part = file.with_name(f"{file.name}.part")
    try:
        with part.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as text:
            part.chmod(0o600)
            text.write(first_line(version, at, database.name))
            rows = database.write_rows(data_tables(schema), text)
            text.write(end(rows))
        part.replace(file)
    except OSError as error:
        raise StepFailed(f"{file} cannot be written: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)
    return file


def _free(folder: Path, name: str) -> Path:
    """Of several backups in one second each has a file of its own."""
    more = itertools.chain([""], map("-{}".format, itertools.count(2)))
    return next(file for each in more if not (file := folder / f"{name}{each}.sql").exists())
