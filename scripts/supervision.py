"""Keeps the product's processes running: one that ends or no longer answers is started again on the
same data, and the terminal says which.

What fails again and again ends the product, with the reason. So does what ends by itself before it
was ever healthy: then a program is wrong, and another start would not help."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from scripts.process_table import is_alive, processes_below
from scripts.processes import Child, end_all
from scripts.steps import StepFailed

_SIGNALLED = 128  # a shell's exit code, and wrangler's, for a child that a signal ended is higher
# At most so much of the time between two looks counts: this program may have been stopped.
_MAX_LOOK_SECONDS = 1.0
_IDLE_SHARE = 0.05  # of a CPU; what uses less is not at work


@dataclass(frozen=True)
class Limits:
    """`idle_seconds`: how long a process may leave its health check unanswered while it uses no
    CPU; `busy_seconds`: while it does. A training keeps workerd busy for 20 s of CPU."""

    starting_seconds: float = 120.0
    idle_seconds: float = 15.0
    busy_seconds: float = 300.0
    max_failures: int = 5  # within the window; one more ends the product
    window_seconds: float = 180.0


class Probe(Protocol):
    """A HealthProbe."""

    answers: int
    problem: str

    def stop(self) -> None: ...


@dataclass
class Part:
    """One child process of the product.

    `name` begins a sentence. `vital` returns, once the child is healthy, the process below it
    without which it cannot work; `vital_name` begins a sentence too. `restarts_itself`: a text in
    its log that says that it restarts a process of its own; `gave_up`: one that says that this has
    failed."""

    name: str
    start: Callable[[], Child]
    probe: Callable[[], Probe]
    vital: Callable[[Child], int | None] = lambda child: None
    vital_name: str = ""
    restarts_itself: str = ""
    gave_up: str = ""


@dataclass(eq=False)
class _Supervised:
    part: Part
    child: Child
    probe: Probe
    looked_at: float
    is_healthy: bool = False
    was_healthy: bool = False  # ever since the product started
    vital: int | None = None
    seconds: float = 0.0  # in this state: starting, or healthy without an answer
    answers: int = 0  # of the probe, at the last look
    cpu: tuple[float, float] | None = None  # seconds without an answer, and of CPU until then
    failures: deque[float] = field(default_factory=deque)
    lines: list[str] = field(default_factory=list)


class Supervisor:
    def __init__(
        self,
        parts: Iterable[Part],
        limits: Limits = Limits(),
        *,
        say: Callable[[str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`say` gets what happened, as sentences."""
        self._limits = limits
        self._say = say
        self._monotonic = monotonic
        self._parts = list(parts)
        self._all: list[_Supervised] = []

    @property
    def children(self) -> Sequence[Child]:
        return [each.child for each in self._all]

    def start(self) -> None:
        for part in self._parts:
            now = self._monotonic()
            self._all.append(_Supervised(part, part.start(), part.probe(), now))

    def is_healthy(self) -> bool:
        return all(each.is_healthy for each in self._all)

    def look(self) -> list[str]:
        """Looks after each process; returns the new lines in the logs of those that are healthy.
        Raises StepFailed where another start does not help."""
        for each in self._all:
            self._look_after(each)
        lines = [line for each in self._all for line in each.lines]
        for each in self._all:
            each.lines.clear()
        return lines

    def end(self) -> None:
        for each in self._all:
            each.probe.stop()
        end_all(self.children)

    def _look_after(self, each: _Supervised) -> None:
        now = self._monotonic()
        each.seconds += min(now - each.looked_at, _MAX_LOOK_SECONDS)
        each.looked_at = now
        news = each.child.news()
        if each.is_healthy:  # what a start prints is for its log
            each.lines += news
        name = each.part.name
        if not each.child.is_running():
            self._ended(each)
        elif each.vital is not None and not is_alive(each.vital):
            self._restart(each, f"{each.part.vital_name} ended.")
        elif _has_text(news, each.part.gave_up):
            self._restart(each, f"{name} could not restart a process of its own.")
        elif _has_text(news, each.part.restarts_itself):
            self._restarts_itself(each)
        elif not each.is_healthy:
            self._starting(each)
        elif self._is_hung(each):
            self._restart(each, f"{name} has not answered for {each.seconds:.0f} s.")

    def _ended(self, each: _Supervised) -> None:
        code = each.child.process.returncode
        by_signal = code < 0 or code > _SIGNALLED
        number = code - _SIGNALLED if code > _SIGNALLED else -code
        how = f"ended (signal {number})" if by_signal else f"ended (exit code {code})"
        if not (each.is_healthy or by_signal):
            raise StepFailed(f"{each.part.name} {how}. {_end_of_log(each)}")
        self._restart(each, f"{each.part.name} {how}.")

    def _starting(self, each: _Supervised) -> None:
        if not each.probe.problem:
            each.is_healthy = True
            each.vital = each.part.vital(each.child)
            if each.was_healthy:
                self._say(f"{each.part.name} answers again after {each.seconds:.1f} s.")
            each.was_healthy = True
            each.seconds, each.answers, each.cpu = 0.0, each.probe.answers, None
        elif each.seconds > self._limits.starting_seconds:
            raise StepFailed(
                f"{each.part.name} is not healthy after {each.seconds:.0f} s"
                f" ({each.probe.problem}). {_end_of_log(each)}"
            )

    def _is_hung(self, each: _Supervised) -> bool:
        if each.probe.answers > each.answers:
            each.seconds, each.answers, each.cpu = 0.0, each.probe.answers, None
            return False
        if each.seconds > self._limits.busy_seconds:
            return True
        since, cpu_then = each.cpu or (0.0, 0.0)
        if each.seconds < since + self._limits.idle_seconds / 2:
            return False
        cpu = sum(process.cpu_seconds for process in processes_below(each.child.process.pid))
        known, each.cpu = each.cpu, (each.seconds, cpu)
        return known is not None and cpu - cpu_then < _IDLE_SHARE * (each.seconds - since)

    def _restarts_itself(self, each: _Supervised) -> None:
        name = _within_a_sentence(each)
        self._count_failure(each, f"A process of {name} ended.")
        self._say(f"A process of {name} ended, and is being restarted.")
        self._is_starting(each)

    def _restart(self, each: _Supervised, reason: str) -> None:
        self._count_failure(each, reason)
        self._say(f"{reason} Restarting {_within_a_sentence(each)}.")
        each.child.kill()
        each.child = each.part.start()
        self._is_starting(each)

    def _is_starting(self, each: _Supervised) -> None:
        each.probe.stop()
        each.probe = each.part.probe()
        each.is_healthy = False
        each.vital = None
        each.seconds = 0.0

    def _count_failure(self, each: _Supervised, reason: str) -> None:
        now = self._monotonic()
        each.failures.append(now)
        while each.failures[0] < now - self._limits.window_seconds:
            each.failures.popleft()
        if len(each.failures) > self._limits.max_failures:
            name, seconds = _within_a_sentence(each), self._limits.window_seconds
            raise StepFailed(
                f"{reason} That was failure {len(each.failures)} of {name} within {seconds:.0f} s."
                f" {_end_of_log(each)}"
            )


def _within_a_sentence(each: _Supervised) -> str:
    name = each.part.name
    return name[:1].lower() + name[1:]


def _has_text(lines: Sequence[str], text: str) -> bool:
    return bool(text) and any(text in line for line in lines)


def _end_of_log(each: _Supervised) -> str:
    return f"The end of {each.child.log}:\n{each.child.last_words()}"
