"""The machinery of the set-up: a step runs when its inputs changed, and says so in one line.

A step's stamp holds a hash of its inputs and is written last: a step that was cut off runs again.
"""

import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from scripts.paths import BUILD, ROOT
from scripts.signals import die_with_parent

TAIL_LINES = 25
HEAD_LINES = 8


class StepFailed(Exception):
    """A step could not be done: why, and what to do about it."""

    def __init__(self, why: str, advice: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.advice = advice


class InUse(Exception):
    """Another process holds the lock."""


@dataclass(frozen=True)
class Step:
    """One piece of set-up: `make` builds `outputs` from what `inputs` and `facts` say."""

    title: str
    stamp: Path
    make: Callable[[], None]
    outputs: Sequence[Path]
    inputs: Sequence[Path] = field(default=())
    facts: Sequence[str] = field(default=())
    advice: str = ""

    def key(self) -> str:
        return fingerprint(self.inputs, self.facts)

    def is_done(self) -> bool:
        return read(self.stamp) == self.key() and all(path.exists() for path in self.outputs)


def fingerprint(files: Iterable[Path], facts: Iterable[str] = ()) -> str:
    """Return one hash of the files' names and contents and of the facts."""
    digest = hashlib.sha256()
    for fact in facts:
        digest.update(f"{len(fact)}:{fact}".encode())
    for file in files:
        content = file.read_bytes() if file.exists() else b""
        digest.update(f"{file.name}:{len(content)}:".encode() + content)
    return digest.hexdigest()


def read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def run_steps(steps: Iterable[Step]) -> None:
    """Do what is not done yet, in order; ends the program with a clear message on a failure."""
    for step in steps:
        if step.is_done():
            continue
        print(f"{step.title} …", end="", flush=True)
        started = time.monotonic()
        try:
            do_step(step)
        except StepFailed as failure:
            print(" failed")
            give_up(step.title, failure, step.advice)
        print(f"  {time.monotonic() - started:.1f} s", flush=True)


def do_step(step: Step) -> None:
    """Raises StepFailed; the step is then not done."""
    step.stamp.unlink(missing_ok=True)
    step.make()
    step.stamp.parent.mkdir(parents=True, exist_ok=True)
    step.stamp.write_text(step.key(), encoding="utf-8")


def give_up(title: str, failure: StepFailed, advice: str = "") -> None:
    advice = failure.advice or advice
    lines = [f"\n{title}: failed.", failure.why.rstrip()]
    if advice:
        lines.append(f"\nWhat to do: {advice}")
    sys.exit("\n".join(lines))


def run(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> str:
    """Run a command in the checkout, quietly, and return what it printed; a failure shows the end
    of that."""
    words = [str(word) for word in command]
    try:
        process = subprocess.Popen(
            words,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    except FileNotFoundError as error:
        raise StepFailed(f"the program {words[0]} is not there") from error
    try:
        output, _ = process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)  # with all it started
        process.wait()
        raise
    if process.returncode:
        why = f"$ {' '.join(words)}\n{digest(output)}\n(exit code {process.returncode})"
        raise StepFailed(why)
    return output


def tail(text: str) -> str:
    return "\n".join(text.rstrip().splitlines()[-TAIL_LINES:])


def digest(text: str) -> str:
    """Return the tail, led by the lines that call themselves errors: npm's are far up."""
    lines = text.rstrip().splitlines()
    early = [line for line in lines[:-TAIL_LINES] if "error" in line.lower()]
    return "\n".join(early[:HEAD_LINES] + lines[-TAIL_LINES:])


@contextmanager
def only_one(lock: Path, waiting: str = "") -> Iterator[None]:
    """Hold the lock file; with a word to say while waiting, wait for another holder, else fail."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if not waiting:
                raise InUse(lock) from error
            print(waiting, flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


SETUP_LOCK = BUILD / "setup.lock"
