"""The local database of one installation: its migrations, and the seed of a new one."""

from collections.abc import Iterator
from pathlib import Path

from scripts.paths import MIGRATIONS, SEED
from scripts.steps import Step, run
from scripts.wrangler import environment, wrangler


def database_steps(state: Path) -> Iterator[Step]:
    """Yield what the state folder still lacks.

    Its stamps lie in the folder itself. The product runs only after the seed's stamp is written, so
    a seed that was cut off runs again, and one that an operator has changed never does.
    """
    migrations = sorted(MIGRATIONS.glob("*.sql"))
    yield Step(
        title="Migrating the database",
        stamp=state / "edgeneuro" / "migrated",
        make=lambda: d1(state, "migrations", "apply", "DB"),
        inputs=migrations,
        outputs=[state / "v3" / "d1"],
    )
    yield Step(
        title="Seeding the database",
        stamp=state / "edgeneuro" / "seeded",
        make=lambda: d1(state, "execute", "DB", "--yes", "--file", SEED),
        outputs=[state / "v3" / "d1"],
    )


def d1(state: Path, *words: str | Path) -> None:
    run(
        wrangler("d1", *words, "--local", "--env", "local", "--persist-to", state),
        environment(state),
    )
