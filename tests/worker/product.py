"""Starts and stops the product for the black-box tests, as a user would."""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Protocol

from scripts.cron import job_waits
from scripts.database import database_steps
from scripts.paths import (
    BUILD,
    BUNDLE_PACKER,
    MIGRATIONS,
    PACKAGE_LOCK,
    ROOT,
    SEED,
    WORKER_PACKAGES,
    WRANGLER_CONFIG,
)
from scripts.process_table import processes_below
from scripts.signals import end_with_parent
from scripts.steps import fingerprint, run_steps
from tests.waiting import until
from tests.worker.inspector import Inspector
from tests.worker.listening import workerd_ports, workerd_url

ADMIN_TOKEN = "black-box-admin-token-0123456789"
KEPT = BUILD / "test-state"  # what the tests make once for all runs of the same sources
END_SECONDS = 30


class Product(Protocol):
    """A running product, wherever it runs."""

    @property
    def base_url(self) -> str: ...

    @property
    def public_url(self) -> str:
        """The address that users call, through wrangler's proxy if there is one."""

    @property
    def admin_token(self) -> str: ...

    @property
    def local_ai_url(self) -> str | None:
        """The emulator's control API; None if the product uses another Workers AI."""

    @property
    def state(self) -> Path | None: ...

    def restart(self) -> None: ...


@dataclass
class ExternalProduct:
    """A deployment that somebody else started; its Workers AI is out of the tests' hands."""

    base_url: str
    admin_token: str
    local_ai_url: str | None = None
    state: Path | None = None

    @property
    def public_url(self) -> str:
        return self.base_url

    def restart(self) -> None:
        raise NotImplementedError("a deployment cannot be restarted")


@dataclass
class LocalProduct:
    """The product as `npm start` runs it, on a free port and with data of its own. `base_url` is
    workerd's own address: wrangler's proxy before it takes a quarter of the CPU of a request."""

    state: Path
    admin_token: str = ADMIN_TOKEN
    port: int = field(default_factory=lambda: free_port())
    local_ai_url: str | None = None
    output: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[str] | None = None
    _workerd_url: str | None = None

    @property
    def base_url(self) -> str:
        return self._workerd_url or self.public_url

    @property
    def public_url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def database(self) -> Path:
        """D1's file."""
        folder = self.state / "v3" / "d1"
        [path] = [each for each in folder.rglob("*.sqlite") if each.name != "metadata.sqlite"]
        return path

    def inspector(self) -> Inspector:
        if self._process is None:
            raise RuntimeError("the product does not run")
        return Inspector(self.base_url, self._process.pid)

    def start(self) -> None:
        if not self.state.exists() or not any(self.state.iterdir()):
            shutil.copytree(migrated_state(), self.state, dirs_exist_ok=True)
        self._start(memory_snapshot())

    def _start(self, snapshot: Path) -> None:
        own = {
            "EDGENEURO_SNAPSHOT": str(snapshot),
            "PORT": str(self.port),
            "ADMIN_TOKEN": self.admin_token,
            "EDGENEURO_STATE": str(self.state),
            "LOCAL_AI_ENGINE": "emulated",
            "REQUEST_LOG": "all",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scripts.start", "--no-setup"],
            cwd=ROOT,
            env=os.environ | own | self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=end_with_parent,
            text=True,
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output.append(line)
            if line.rstrip() == f"Ready on {self.public_url}":
                break
        else:
            self._process.wait()
            raise RuntimeError("the product did not start:\n" + "".join(self.output))
        instance = json.loads((self.state / "edgeneuro" / "instance.json").read_text())
        self.local_ai_url = instance["local_ai_url"]
        self._workerd_url = workerd_url(self._process.pid, but=self.port)
        threading.Thread(target=self._keep_output, args=[self._process], daemon=True).start()

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(END_SECONDS)
        finally:
            self._process.kill()
            self._process = self._workerd_url = None

    def finish_jobs(self) -> None:
        """Wait until no job is left. This looks into the database, since an answer to each look
        would take the product 20 ms of the CPU that the job needs."""
        until(lambda: not job_waits(self.state))

    def kill_runtime(self) -> None:
        """Kill the process that runs the Worker, and wait until it answers again."""
        self._kill({pid for pid, ports in self._runtimes().items() if self.port not in ports})
        self._answers_again("The Worker")

    def kill_proxy_and_emulator(self) -> None:
        """The same with wrangler's proxy and the emulator."""
        assert self._process is not None
        killed = {pid for pid, ports in self._runtimes().items() if self.port in ports}
        for each in processes_below(self._process.pid):
            if each.parent == self._process.pid and each.name.startswith("python"):
                killed.add(each.pid)
        self._kill(killed)
        self._answers_again("The Worker", "The local AI server")

    def _runtimes(self) -> dict[int, set[int]]:
        assert self._process is not None
        return workerd_ports(self._process.pid)

    def _kill(self, pids: set[int]) -> None:
        self.output.clear()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def _answers_again(self, *names: str) -> None:
        assert self._process is not None
        for name in names:
            until(lambda: any(f"{name} answers again" in line for line in self.output))  # noqa: B023
        self._workerd_url = workerd_url(self._process.pid, but=self.port)

    def restart(self) -> None:
        """End it and start it again on the same data."""
        self.stop()
        self.start()

    def _keep_output(self, process: subprocess.Popen[str]) -> None:
        """Read on, or the product would stand still once the pipe is full."""
        assert process.stdout is not None
        with process.stdout:
            self.output.extend(process.stdout)


@cache
def migrated_state() -> Path:
    """A state folder with a new installation's database, made once for these migrations and this
    seed: to make one takes wrangler some seconds."""
    files = [*sorted(MIGRATIONS.glob("*.sql")), SEED, PACKAGE_LOCK]
    state = KEPT / fingerprint(files, ["private"])[:16]
    with _alone():
        if not state.exists():
            with tempfile.TemporaryDirectory(dir=KEPT) as folder:
                made = Path(folder) / "state"
                before = os.umask(0o077)  # as `npm start` does
                try:
                    run_steps(database_steps(made))
                finally:
                    os.umask(before)
                made.rename(state)
    return state


@cache
def memory_snapshot() -> Path:
    """The folder of the Worker's memory after its imports, as scripts/workerd takes it, made once
    for these sources, which are not to change within a run. A product of its own makes it: workerd
    has JavaScript's objects behind proxies then, which not all of them bear."""
    folder = KEPT / f"snapshot-{_sources()[:16]}"
    migrated = migrated_state()
    with _alone():
        if not folder.exists():
            for former in KEPT.glob("snapshot-*"):
                shutil.rmtree(former)
            part = folder.with_suffix(".part")
            part.mkdir()
            with tempfile.TemporaryDirectory(dir=KEPT) as state:
                maker = LocalProduct(Path(state))
                shutil.copytree(migrated, maker.state, dirs_exist_ok=True)
                maker._start(folder)
                maker.stop()
            part.rename(folder)
    return folder


def _sources() -> str:
    """A hash of all that the Worker is made of."""
    files = [
        path
        for folder in (ROOT / "src", WORKER_PACKAGES)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    ]
    files += [WRANGLER_CONFIG, PACKAGE_LOCK, BUNDLE_PACKER]
    return fingerprint(files, [str(path.relative_to(ROOT)) for path in files])


@contextmanager
def _alone() -> Iterator[None]:
    """The tests run in several processes, which all need the same at the beginning."""
    KEPT.mkdir(exist_ok=True)
    with (KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
