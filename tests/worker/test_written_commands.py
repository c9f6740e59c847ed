"""The commands of README.md and docs/, as they are printed and in their order, in a shell for each
page: every one must succeed, also every request. Blocks that cannot be run here say why, in a
comment before them (tests/unit/documents.py). The last module by its name, since what a page says
about settings and models is in force then."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from scripts.paths import ROOT
from tests.http_client import http_client
from tests.unit.documents import Commands, Document, documents
from tests.worker.product import LocalProduct

SECONDS = 300  # of a page; the tutorial trains a classifier
FIRST = ("README.md", "docs/quickstart.md", "docs/tutorial.md")
# How one gets and starts the product, as each product of the tests is started; benchmarks, which
# need data and minutes; and what needs an account, which has tests with the emulated one.
ELSEWHERE = re.compile(
    r"(git clone|cd|npm start|npm test)\b"
    r"|([A-Z_]+=\S+ )+npm start\b"
    r"|npx wrangler\b|npm run (deploy|upgrade|backup|restore)\b|export CLOUDFLARE_"
    r"|(PYTHONPATH=src )?\.build/venv/bin/python (-m bench\.|bench/)"
)
# The scripts that call a running product; others change the machine, an account or this checkout.
NPM = """\
#!/bin/sh
case "$1 $2" in
  "run classifier" | "run routing-tests" | "run demo") exec {npm} "$@" ;;
esac
echo "npm $* is not for the checkout of the tests: write <!-- not run: WHY --> before the block."
exit 1
"""
# The product is not at the port of the documents, and a request that is refused is a failure.
CURL = """\
#!/bin/sh
case " $* " in
  *" -f "*) fail= ;;
  *) fail=--fail-with-body ;;
esac
exec {curl} -sS $fail --connect-to localhost:8787:127.0.0.1:{port} "$@"
"""


def run_here(page: Document) -> list[Commands]:
    return [each for each in page.commands if each.not_run is None and not elsewhere(each.text)]


def elsewhere(block: str) -> bool:
    lines = block.replace("\\\n", "").splitlines()
    return all(ELSEWHERE.match(line) for line in lines if line.strip() and line[0] != "#")


PAGES = sorted(filter(run_here, documents()), key=lambda page: page.name not in FIRST)


@pytest.fixture(scope="module")
def checkout(sandbox: LocalProduct, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a clone in which this product runs. What commands write does not get into the
    real one."""
    folder = tmp_path_factory.mktemp("checkout")
    for entry in ROOT.iterdir():
        if entry.name != ".wrangler":
            (folder / entry.name).symlink_to(entry)
    notes = folder / ".wrangler" / "state" / "edgeneuro"
    notes.mkdir(parents=True)
    (notes / "admin_token").write_text(sandbox.admin_token)
    port = httpx.URL(sandbox.base_url).port
    (folder / "programs").mkdir()
    programs = {
        "curl": CURL.format(curl=shutil.which("curl"), port=port),
        **dict.fromkeys(("npm", "npx", "pip"), NPM.format(npm=shutil.which("npm"))),
    }
    for name, text in programs.items():
        (folder / "programs" / name).write_text(text)
        (folder / "programs" / name).chmod(0o700)
    return folder


@pytest.fixture
def restored(sandbox: LocalProduct) -> Iterator[None]:
    """No page has a training beside it that another one asked for."""
    yield
    with http_client(sandbox.base_url, sandbox.admin_token) as client:
        client.patch("/v1/config", json={"learning": "off"}).raise_for_status()


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_the_commands_run_as_they_are_printed(
    page: Document, sandbox: LocalProduct, checkout: Path
) -> None:
    script = "".join(
        f"echo '@ {page.name}:{each.line}'\n{each.text}\necho\n" for each in run_here(page)
    )
    ran = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=checkout,
        env=environment(sandbox, checkout),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-3000:]


def environment(sandbox: LocalProduct, checkout: Path) -> dict[str, str]:
    """`npm start` prints how to set ADMIN_TOKEN; PORT is the one that it was given."""
    return {
        "PATH": f"{checkout / 'programs'}:{os.environ['PATH']}",
        "HOME": str(checkout),
        "NPM_CONFIG_UPDATE_NOTIFIER": "false",  # in a new home it asks the registry each time
        "ADMIN_TOKEN": sandbox.admin_token,
        "PORT": str(sandbox.port),
    }
