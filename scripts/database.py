"""The local database of one installation: its migrations, and the seed of a new one."""

from collections.abc import Iterator
from pathlib import Path

from scripts.paths import MIGRATIONS, SEED
from scripts.steps import Step, run
from scripts.wrangler import environment, wrangler

# As wrangler creates it.
APPLIED_MIGRATIONS = """\
CREATE TABLE d1_migrations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT UNIQUE,
    applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
);"""


def database_steps(state: Path) -> Iterator[Step]:
    """Yield what the state folder still lacks.

    Its stamps lie in the folder itself. The product runs only after the seed's stamp is written, so
    a seed that was cut off runs again, and one that an operator has changed never does.
    """
    migrations = sorted(MIGRATIONS.glob("*.sql"))
    yield Step(
        title="Migrating the database",
        stamp=state / "edgeneuro" / "migrated",
        make=lambda: migrate(state, migrations),
        inputs=migrations,
        outputs=[state / "v3" / "d1"],
    )
    yield Step(
        title="Seeding the database",
        stamp=state / "edgeneuro" / "seeded",
        make=lambda: d1(state, "execute", "DB", "--yes", "--file", SEED),
        outputs=[state / "v3" / "d1"],
    )


def migrate(state: Path, migrations: list[Path]) -> None:
    """A new database gets them all in one batch: wrangler starts workerd for each migration that it
    applies, about a second each."""
    if (state / "v3" / "d1").exists():
        d1(state, "migrations", "apply", "DB")
        return
    script = state / "edgeneuro" / "new_database.sql"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(_in_one(migrations), encoding="utf-8")
    d1(state, "execute", "DB", "--yes", "--file", script)


def _in_one(migrations: list[Path]) -> str:
    contents = [each.read_text(encoding="utf-8") for each in migrations]
    return "\n".join([applied(migrations), *contents])


def applied(migrations: list[Path]) -> str:
    """wrangler's own table that says that they are applied."""
    rows = [f"INSERT INTO d1_migrations (name) VALUES ('{each.name}');" for each in migrations]
    return "\n".join([APPLIED_MIGRATIONS, *rows])


def d1(state: Path, *words: str | Path) -> None:
    run(
        wrangler("d1", *words, "--local", "--env", "local", "--persist-to", state),
        environment(state),
    )
