"""A child process with its own process group and log file, ended together with all it started."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from scripts.paths import ROOT
from scripts.process_table import processes_in_group
from scripts.signals import end_with_parent
from scripts.steps import tail

GRACE_SECONDS = 5.0
_KILL_SECONDS = 2.0


@dataclass
class Child:
    """One process that the product consists of."""

    name: str
    log: Path
    process: subprocess.Popen[bytes]
    shown: int = 0

    @classmethod
    def start(
        cls, name: str, command: Sequence[str], *, environment: Mapping[str, str], log: Path
    ) -> "Child":
        """The log is continued: of a process that is started again it says why."""
        shown = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        return cls(name, log, process, shown)

    def is_running(self) -> bool:
        return self.process.poll() is None

    def news(self) -> list[str]:
        """Return the whole lines that the log has got since the last call."""
        with self.log.open("rb") as log:
            log.seek(self.shown)
            whole, newline, _ = log.read().rpartition(b"\n")
        self.shown += len(whole) + len(newline)
        return whole.decode(errors="replace").splitlines() if newline else []

    def last_words(self) -> str:
        return tail(self.log.read_text(encoding="utf-8", errors="replace"))

    def kill(self) -> None:
        """End it and all it started at once, and wait until their ports are free."""
        self.signal_group(signal.SIGKILL)
        deadline = time.monotonic() + _KILL_SECONDS
        while self.is_left() and time.monotonic() < deadline:
            time.sleep(0.02)

    def is_left(self) -> bool:
        """Whether it or anything that it started still runs."""
        return self.process.poll() is None or bool(processes_in_group(self.process.pid))

    def signal_group(self, number: int) -> bool:
        """Signal the process and all it started; False when none of them is left."""
        self.process.poll()  # a zombie would count as alive
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True


def end_all(children: Sequence[Child]) -> None:
    """End the children and everything they started: politely, and after a few seconds by force."""
    for child in children:
        child.signal_group(signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    left = list(children)
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [child for child in left if child.is_left()]
    for child in left:
        child.signal_group(signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            child.process.wait(GRACE_SECONDS)
