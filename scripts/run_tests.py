"""Runs the tests as several pytest processes at once: those that also wait for a running product or
the browser, and behind them the unit tests, which take what CPU these leave."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue

from scripts import paths
from scripts.signals import end_with_parent

_SANDBOX = re.compile("sandbox")  # the fixture with the second product of these tests
# What the unit tests that train classifiers import. They run in one process, where those that begin
# with the same labels share a training. schemathesis makes it take as much CPU as the other one.
_TRAINING = re.compile(r"tests\.unit\.(trainings|synthetic_labels) import|schemathesis in process")
_UNIT = "tests/unit"
NOTHING_COLLECTED = 5  # pytest's exit code if no test fits the words
SLOWEST = 20
# pytest's options whose value is the next word, which may look like a path.
_WITH_VALUE = frozenset(
    "-k -m -p -c -o -r -W --basetemp --color --confcutdir --deselect --durations --ignore"
    " --ignore-glob --junitxml --maxfail --rootdir --tb".split()
)
_PYTEST = ("-m", "pytest")


def run_tests(words: Sequence[str], *, program: Sequence[str] = _PYTEST) -> bool:
    """Run pytest with the user's words and return whether all tests passed.

    The output of the first process is shown at once, that of each other one after it. A process
    that finds no test is no failure if another one finds some.
    """
    _compile_worker()
    first, *others = [
        _start([*program, *each], show=number == 0, behind=any(_UNIT in word for word in each))
        for number, each in enumerate(pytest_words(words))
    ]
    outputs = [_collect(process) for process in others]
    codes = [first.wait()]
    for process, output in zip(others, outputs, strict=True):
        for part in iter(output.get, b""):
            sys.stdout.buffer.write(part)
            sys.stdout.buffer.flush()
        codes.append(process.wait())
    found = [code for code in codes if code != NOTHING_COLLECTED]
    return bool(found) and not any(found)


def _compile_worker() -> None:
    """Before the tests import the Worker's modules: wrangler watches their folders, and a compiled
    module that appears there makes it start the Worker of each running product again."""
    source = str(paths.ROOT / "src")
    subprocess.run([str(paths.PYTHON), "-m", "compileall", "-q", source], check=False)


def groups() -> list[list[str]]:
    """What each process runs: folders, and files of the folders that are divided. The two of unit
    tests take about as much CPU as each other, so that both cores of a small machine have work to
    the end."""
    with_product, with_sandbox = _divided("tests/worker", _SANDBOX.search)
    unit, training = _divided(_UNIT, _TRAINING.search)
    return [
        unit,
        training,
        [*with_product, "tests/local", "tests/trainer"],
        with_sandbox,
        ["tests/access", "tests/ui"],  # they share a product
    ]


def _divided(folder: str, apart: Callable[[str], object]) -> tuple[list[str], list[str]]:
    """The folder's modules of tests, and those among them whose text is to be apart."""
    parts: tuple[list[str], list[str]] = ([], [])
    for path in sorted((paths.ROOT / folder).glob("test_*.py")):
        found = bool(apart(path.read_text(encoding="utf-8")))
        parts[found].append(str(path.relative_to(paths.ROOT)))
    return parts


def pytest_words(words: Sequence[str]) -> list[list[str]]:
    """The words of each pytest process: one for each group that has a path the user names, all
    groups if no path is named. A path outside all goes to the first."""
    options, named = _split(words)
    chosen = [[part for path in named for part in _within(path, group)] for group in groups()]
    if not any(chosen):
        chosen = [named] if named else groups()
    return [
        # Each process remembers its own failures for --lf.
        [f"--durations={SLOWEST}", "-o", f"cache_dir=.pytest_cache/{number}", *options, *each]
        for number, each in enumerate(chosen)
        if each
    ]


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The options with their values, and the paths."""
    options: list[str] = []
    named: list[str] = []
    before = ""
    for word in words:
        is_path = not word.startswith("-") and before not in _WITH_VALUE
        (named if is_path else options).append(word)
        before = word
    return options, named


def _within(path: str, group: Sequence[str]) -> Iterator[str]:
    """What of a named path belongs to a group: itself, or the parts of the group in it."""
    name, *_ = path.split("::")
    place = (paths.ROOT / name).resolve()
    for part in group:
        home = paths.ROOT / part
        if place.is_relative_to(home):
            yield path
        elif home.is_relative_to(place):
            yield part


def _start(words: Sequence[str], *, show: bool, behind: bool) -> subprocess.Popen[bytes]:
    """`behind` the others: it gets what CPU they leave."""
    colour = ["--color=yes"] if sys.stdout.isatty() and not show else []
    return subprocess.Popen(
        [str(paths.PYTHON), *words, *colour],
        cwd=paths.ROOT,
        env=_environment(),
        stdin=None if show else subprocess.DEVNULL,
        stdout=None if show else subprocess.PIPE,
        stderr=None if show else subprocess.STDOUT,
        preexec_fn=_end_with_parent_behind if behind else end_with_parent,
    )


def _end_with_parent_behind() -> None:
    end_with_parent()
    os.nice(10)


def _environment() -> dict[str, str]:
    """Without the switch that keeps Python from storing compiled modules: each of the many
    processes of the tests would compile all of them, seconds of CPU a process."""
    return {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _collect(process: subprocess.Popen[bytes]) -> SimpleQueue[bytes]:
    """Read on while nobody looks, or the process would wait for room in its pipe. Ends with b""."""
    output: SimpleQueue[bytes] = SimpleQueue()

    def read() -> None:
        assert process.stdout is not None
        with process.stdout as pipe:
            while part := os.read(pipe.fileno(), 65_536):
                output.put(part)
        output.put(b"")

    threading.Thread(target=read, daemon=True).start()
    return output
