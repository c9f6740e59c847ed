"""A Worker of its own beside the product: the least that a Python Worker can do, or one that a
bench needs."""

import json
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts import paths
from scripts.options import Options
from scripts.processes import Child, end_all
from scripts.product import free_port, wait_until_ready
from scripts.wrangler import environment, wrangler

BARE = Path(__file__).parent / "bare"


@contextmanager
def bare_worker(folder: Path, source: Path = BARE) -> Iterator[str]:
    """The address of the Worker in `source`, through wrangler's proxy."""
    with bare_process(folder, source) as (_, options):
        yield options.base_url


@contextmanager
def bare_process(folder: Path, source: Path = BARE) -> Iterator[tuple[Child, Options]]:
    """The Worker in `source` under the same wrangler, workerd and Pyodide as the product."""
    worker = folder / "worker"  # apart from the state: wrangler reloads when its folder changes
    shutil.copytree(source, worker)
    (worker / "python_modules").symlink_to(paths.WORKER_PACKAGES)
    _write_config(worker)
    options = Options(port=free_port(), admin_token="", state=folder / "state")
    options.notes.mkdir(parents=True)
    words: list[str | Path] = ["dev", "--config", worker / "wrangler.json"]
    words += ["--persist-to", options.state, "--port", str(options.port), "--inspector-port", "0"]
    child = Child.start(
        "The bare Worker",
        wrangler(*words, "--show-interactive-dev-session=false"),
        environment=environment(options.state),
        log=options.notes / "wrangler.log",
    )
    try:
        wait_until_ready([child], [options.base_url])
        yield child, options
    finally:
        end_all([child])


def _write_config(folder: Path) -> None:
    config = tomllib.loads(paths.WRANGLER_CONFIG.read_text(encoding="utf-8"))
    bare = {
        "name": "bare",
        "main": "entry.py",
        "compatibility_date": config["compatibility_date"],
        "compatibility_flags": config["env"]["local"]["compatibility_flags"],
    }
    (folder / "wrangler.json").write_text(json.dumps(bare), encoding="utf-8")
