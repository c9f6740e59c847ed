"""What `npm run deploy` would upload, made without an account by wrangler's dry run."""

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from scripts.paths import ROOT
from scripts.wrangler import environment, wrangler

MAX_KIB_GZIPPED = 10 * 1024  # what a paid plan takes, which a classifier needs for its CPU time
UNITS = {"KiB": 1, "MiB": 1024}


class DryRun(NamedTuple):
    exit_code: int
    output: str
    folder: Path


@pytest.fixture(scope="module")
def dry_run(tmp_path_factory: pytest.TempPathFactory) -> DryRun:
    folder = tmp_path_factory.mktemp("upload")
    done = subprocess.run(
        wrangler("deploy", "--env", "", "--dry-run", "--outdir", folder),
        cwd=ROOT,
        env=environment(tmp_path_factory.mktemp("state")),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return DryRun(done.returncode, done.stdout, folder)


def test_configuration_is_accepted_without_a_warning(dry_run: DryRun) -> None:
    assert dry_run.exit_code == 0, dry_run.output
    assert "Unexpected fields" not in dry_run.output
    assert "WARNING" not in dry_run.output


def test_upload_is_small(dry_run: DryRun) -> None:
    size = re.search(r"Total Upload: .* / gzip: ([\d.]+) (KiB|MiB)", dry_run.output)
    assert size is not None, dry_run.output
    assert float(size[1]) * UNITS[size[2]] < MAX_KIB_GZIPPED


NOT_UPLOADED = {"local", "scripts", "tests", "bench", "trainer", "edgeneuro_testing"}


def test_nothing_but_the_worker_is_uploaded(dry_run: DryRun) -> None:
    uploaded = {file.relative_to(dry_run.folder) for file in dry_run.folder.rglob("*")}
    assert Path("entry.py") in uploaded
    assert {path.parts[0] for path in uploaded}.isdisjoint(NOT_UPLOADED)
    fakes = {path for path in uploaded if re.search(r"scripted|sqlite|fake|testing", path.name)}
    assert {path for path in fakes if path.parts[0] == "edgeneuro"} == set()
