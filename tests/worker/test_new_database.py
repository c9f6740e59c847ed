"""The database of a new installation, made in one batch, is for wrangler one that was migrated."""

import shutil
import subprocess
from pathlib import Path

from scripts.wrangler import environment, wrangler
from tests.worker.product import migrated_state


def test_nothing_is_left_to_apply(tmp_path: Path) -> None:
    state = shutil.copytree(migrated_state(), tmp_path / "state")
    local = ("--local", "--env", "local", "--persist-to", state)
    listed = subprocess.run(
        wrangler("d1", "migrations", "list", "DB", *local),
        env=environment(state),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert listed.returncode == 0, listed.stderr
    assert "No migrations to apply" in listed.stdout
