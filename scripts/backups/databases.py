"""The databases that are backed up and restored: that of a local installation, and D1."""

import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

from scripts.backups.dump import copy_rows, write_rows
from scripts.backups.schema import Made
from scripts.database import d1, database_steps
from scripts.deployment.context import Context, run_deployment
from scripts.deployment.resources import query
from scripts.deployment.upload import TABLES
from scripts.options import notes_folder
from scripts.private import private_folder, write_private
from scripts.steps import InUse, StepFailed, only_one

Row = dict[str, Any]
MAX_IMPORT = 5 * 1024**3  # bytes of a file that D1 executes
VIRTUAL_ADVICE = (
    "D1 refuses exports of this database for its full-text tables, though they were left out. Time"
    " Travel has the last 30 days (docs/upgrade.md); `npm run upgrade -- --no-backup` upgrades"
    " without a backup. If queries fail now, restore the present bookmark by Time Travel."
)


class TargetDatabase(Protocol):
    """`name` is what a backup's file is called after, `title` names the database in a sentence."""

    name: str
    title: str

    def rows(self, sql: str) -> list[Row]:
        """The rows of one SELECT; none if there is no database yet."""

    def write_rows(self, tables: Sequence[Made], file: TextIO) -> int:
        """Write the rows of these tables as a dump has them; returns their number."""

    def execute(self, script: Path) -> None:
        """Execute a file of SQL, whole or not at all."""

    def migrate(self) -> None:
        """Apply the migrations that are missing."""


class LocalDatabase:
    """Of the product that `npm start` runs. It is read beside a running product."""

    name = "local"

    def __init__(self, state: Path) -> None:
        self._state = state
        self.title = f"the local database in {state}"

    @property
    def file(self) -> Path | None:
        """D1's file, None if there is none yet."""
        found = [
            each
            for each in (self._state / "v3" / "d1").rglob("*.sqlite")
            if each.name != "metadata.sqlite"
        ]
        return found[0] if found else None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep the product from running meanwhile. Raises StepFailed if it runs."""
        private_folder(notes_folder(self._state))
        try:
            with only_one(notes_folder(self._state) / "lock"):
                yield
        except InUse as error:
            raise StepFailed(
                f"EdgeNeuro is running on the data in {self._state}.",
                "end it (Ctrl+C where `npm start` runs), then start again.",
            ) from error

    def rows(self, sql: str) -> list[Row]:
        if self.file is None:
            return []
        with closing(self._open(self.file)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(each) for each in connection.execute(sql).fetchall()]

    def write_rows(self, tables: Sequence[Made], file: TextIO) -> int:
        if self.file is None:
            return 0
        with closing(self._open(self.file)) as connection:
            return write_rows(connection, tables, file)

    def execute(self, script: Path) -> None:
        """The next start looks for migrations, and does not add the demonstration agents."""
        migrated, seeded = database_steps(self._state)
        migrated.stamp.unlink(missing_ok=True)
        d1(self._state, "execute", "DB", "--yes", "--file", script)
        write_private(seeded.stamp, seeded.key())

    def migrate(self) -> None:
        d1(self._state, "migrations", "apply", "DB")

    def _open(self, file: Path) -> sqlite3.Connection:
        return sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, isolation_level=None)


class DeployedDatabase:
    """D1's, of a deployment."""

    def __init__(self, context: Context) -> None:
        self._context = context
        record = context.record
        self.name = record.environment
        self.title = f"the database {record.database_name} of the deployment {record.environment}"

    def rows(self, sql: str) -> list[Row]:
        return query(self._context, self._context.record.database_id, sql)

    def write_rows(self, tables: Sequence[Made], file: TextIO) -> int:
        """By D1's export, in which all rows are of one moment. It must not be asked for the tables
        of a full-text index: it fails, and was reported to leave the database locked
        (github.com/cloudflare/workers-sdk/issues/9519)."""
        names = [word for table in tables for word in ("--table", table.name)]
        with tempfile.TemporaryDirectory() as folder:
            export = Path(folder) / "export.sql"
            words = ["d1", "export", "DB", "--remote", "--skip-confirmation", "--no-schema"]
            try:
                self._context.wrangler([*words, "--output", str(export), *names])
            except StepFailed as failure:
                if "Virtual Tables" not in failure.why:
                    raise
                raise StepFailed(failure.why, VIRTUAL_ADVICE) from failure
            if not export.exists():
                raise StepFailed("wrangler ended well, but wrote no export.")
            return copy_rows(export, file)

    def execute(self, script: Path) -> None:
        if script.stat().st_size > MAX_IMPORT:
            raise StepFailed(
                f"The backup has {script.stat().st_size:,} bytes as SQL; D1 takes {MAX_IMPORT:,}.",
                "if it is a moment of the last 30 days, use Time Travel (docs/upgrade.md).",
            )
        self._context.wrangler(["d1", "execute", "DB", "--remote", "--yes", "--file", str(script)])

    def migrate(self) -> None:
        run_deployment(self._context, [TABLES])
