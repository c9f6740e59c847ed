"""The supervisor of the product's processes, with real processes: what it starts again, when it
stops trying, and what it says."""

import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from scripts.health import HealthProbe, health_problem
from scripts.process_table import processes_below, processes_in_group, seconds_of
from scripts.processes import Child
from scripts.steps import StepFailed
from scripts.supervision import Limits, Part, Supervisor
from tests.unit.clock import Clock
from tests.waiting import until

STAYS = "exec sleep 600"
LIMITS = Limits(starting_seconds=9, idle_seconds=4, busy_seconds=60, max_failures=2)


class ScriptedProbe:
    def __init__(self) -> None:
        self.answers = 0
        self.problem = "refused"
        self.stopped = False

    def answer(self, problem: str = "") -> None:
        self.answers += 1
        self.problem = problem

    def stop(self) -> None:
        self.stopped = True


class Watched:
    """A supervisor of one part, whose starts run these shell scripts in turn, then the last one."""

    def __init__(self, folder: Path, limits: Limits = LIMITS) -> None:
        self.folder = folder
        self.scripts = [STAYS]
        self.probes: list[ScriptedProbe] = []
        self.said: list[str] = []
        self.clock = Clock()
        self.below: int | None = None  # the process that the part needs
        part = Part(
            "The server",
            start=self._start,
            probe=self._probe,
            vital=lambda child: self.below,
            vital_name="Its proxy",
            restarts_itself="runtime crashed",
            gave_up="runtime is gone",
        )
        self.supervisor = Supervisor([part], limits, say=self.said.append, monotonic=self.clock)

    def _start(self) -> Child:
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        command = ["sh", "-c", f"cd {shlex.quote(str(self.folder))}; {script}"]
        return Child.start("server", command, environment={}, log=self.folder / "server.log")

    def _probe(self) -> ScriptedProbe:
        self.probes.append(ScriptedProbe())
        return self.probes[-1]

    @property
    def child(self) -> Child:
        [child] = self.supervisor.children
        return child

    def start(self, *scripts: str) -> None:
        self.scripts = list(scripts or self.scripts)
        self.supervisor.start()

    def open(self) -> None:
        """Its newest process becomes healthy."""
        self.probes[-1].answer()
        self.supervisor.look()
        assert self.supervisor.is_healthy()

    def killed(self) -> None:
        self.child.process.kill()
        self.child.process.wait()

    def restarted(self) -> str:
        """Looks until it has said something new, and returns that."""
        known = len(self.said)
        until(self.supervisor.look, lambda lines: len(self.said) > known)
        return self.said[-1]

    def passes(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.seconds += 1
            self.supervisor.look()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    yield watched
    watched.supervisor.end()


def test_what_was_killed_is_started_again_and_named(watched: Watched) -> None:
    watched.start()
    watched.open()
    killed = watched.child
    watched.killed()
    assert watched.restarted() == "The server ended (signal 9). Restarting the server."
    assert watched.child is not killed
    assert watched.child.is_running()
    assert [probe.stopped for probe in watched.probes] == [True, False]
    assert not watched.supervisor.is_healthy()
    watched.passes(3)
    watched.open()
    assert watched.said[-1] == "The server answers again after 3.0 s."


def test_all_that_it_started_ends_before_it_is_started_again(watched: Watched) -> None:
    watched.start("sleep 600 & echo $!; wait", STAYS)
    until(lambda: watched.child.news())
    watched.open()
    first = watched.child.process.pid
    assert len(processes_in_group(first)) == 2
    watched.killed()
    assert len(processes_in_group(first)) == 1
    watched.restarted()
    assert processes_in_group(first) == []


def test_a_program_that_fails_before_it_was_healthy_is_not_tried_again(watched: Watched) -> None:
    watched.start("echo NameError: no such name; exit 1")
    watched.child.process.wait()
    with pytest.raises(StepFailed, match=r"The server ended \(exit code 1\).*\n.*NameError"):
        watched.supervisor.look()
    assert watched.said == []


def test_a_program_that_became_wrong_is_tried_once(watched: Watched) -> None:
    """So wrangler ends after an edit of the Worker's source, and then at each start."""
    watched.start("read line < fifo; exit 1", "echo SyntaxError: invalid syntax; exit 1")
    watched.open()
    (watched.folder / "fifo").write_text("edited\n")
    assert watched.restarted() == "The server ended (exit code 1). Restarting the server."
    watched.child.process.wait()
    with pytest.raises(StepFailed, match="SyntaxError: invalid syntax"):
        watched.supervisor.look()
    assert len(watched.probes) == 2


def test_failure_after_failure_ends_the_product(watched: Watched) -> None:
    watched.start()
    for _ in range(LIMITS.max_failures):
        watched.open()
        watched.killed()
        watched.restarted()
    watched.killed()  # this time while it starts
    with pytest.raises(StepFailed, match=r"signal 9.*failure 3 of the server within 180 s"):
        watched.supervisor.look()


def test_failures_long_ago_do_not_count(watched: Watched) -> None:
    watched.start()
    for _ in range(2 * LIMITS.max_failures):
        watched.open()
        watched.killed()
        watched.restarted()
        watched.clock.seconds += LIMITS.window_seconds / LIMITS.max_failures + 1
    assert watched.child.is_running()


def test_a_shells_exit_code_of_a_signal_is_a_signal(watched: Watched) -> None:
    """wrangler's first process ends with it when its second one is killed."""
    watched.start("exit 137", STAYS)
    watched.child.process.wait()
    assert watched.restarted() == "The server ended (signal 9). Restarting the server."


def test_without_the_process_that_it_needs_it_is_started_again(watched: Watched) -> None:
    watched.start("sleep 600 & echo $!; wait; sleep 600", STAYS)
    [line] = until(lambda: watched.child.news())
    watched.below = int(line)
    watched.open()
    first = watched.child
    watched.supervisor.look()
    assert watched.said == []
    os.kill(watched.below, signal.SIGKILL)
    assert watched.restarted() == "Its proxy ended. Restarting the server."
    until(lambda: first.process.poll() == -signal.SIGKILL)


def test_what_hangs_is_killed_and_started_again(watched: Watched) -> None:
    watched.start()
    watched.open()
    hung = watched.child
    hung.process.send_signal(signal.SIGSTOP)
    watched.passes(3)
    watched.probes[-1].answer("status 503")  # not healthy, but no silence
    watched.passes(4)
    assert watched.said == []
    watched.passes(1)
    assert watched.said == ["The server has not answered for 4 s. Restarting the server."]
    assert hung.process.poll() == -signal.SIGKILL


def test_what_works_may_take_longer(watched: Watched) -> None:
    watched.start("while :; do :; done")
    watched.open()
    pid = watched.child.process.pid
    watched.passes(2)
    [before] = processes_below(pid)
    until(lambda: processes_below(pid)[0].cpu_seconds > before.cpu_seconds + 0.1)
    watched.passes(2)
    assert watched.said == []
    watched.clock.seconds += 3_600  # this program was stopped meanwhile
    watched.supervisor.look()
    assert watched.said == []


def test_what_works_without_end_is_started_again(tmp_path: Path) -> None:
    watched = Watched(tmp_path, Limits(idle_seconds=100, busy_seconds=3))
    watched.start()
    watched.open()
    watched.passes(4)
    assert watched.said == ["The server has not answered for 4 s. Restarting the server."]
    watched.supervisor.end()


def test_what_never_becomes_healthy_ends_the_product(watched: Watched) -> None:
    watched.start()
    watched.passes(9)
    with pytest.raises(StepFailed, match=r"The server is not healthy after 10 s \(refused\)"):
        watched.passes(1)


def test_it_waits_for_what_a_child_restarts_itself(watched: Watched) -> None:
    watched.start()
    watched.open()
    first = watched.child
    with first.log.open("ab") as log:
        log.write(b"the runtime crashed\n")
    watched.supervisor.look()
    assert watched.said == ["A process of the server ended, and is being restarted."]
    watched.passes(2)
    watched.open()
    assert watched.said[-1] == "The server answers again after 2.0 s."
    assert watched.child is first
    with first.log.open("ab") as log:
        log.write(b"the runtime crashed\nthe runtime is gone\n")
    watched.supervisor.look()
    assert watched.said[-1] == (
        "The server could not restart a process of its own. Restarting the server."
    )


def test_a_probe_counts_answers_and_names_the_problem() -> None:
    statuses = [503, 503, 200]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.pop(0))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/healthz"
        probe = HealthProbe(url)
        assert probe.problem
        until(lambda: probe.answers == 3)
        probe.stop()
        server.shutdown()
    assert probe.problem == ""
    assert "refused" in health_problem(url)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0:01.50", 1.5), ("10:00", 600), ("1:00:01", 3_601), ("2-00:00:03", 172_803)],
)
def test_times_of_ps(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


def test_a_process_and_what_is_below_it() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 600 & wait"], start_new_session=True) as shell:
        try:
            # For a moment the second one is a copy of the shell.
            found = until(
                lambda: processes_below(shell.pid),
                lambda found: [each.name for each in found[1:]] == ["sleep"],
            )
            assert [each.parent for each in found] == [os.getpid(), shell.pid]
            assert {each.group for each in found} == {shell.pid}
        finally:
            os.killpg(shell.pid, signal.SIGKILL)
    assert processes_below(shell.pid) == []
