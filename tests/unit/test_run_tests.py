"""How `npm test` divides the tests between its two pytest processes."""

import subprocess
import sys

import pytest

from scripts import paths
from scripts.run_tests import GROUPS, pytest_words

ALONE, WITH_PRODUCT = (list(group) for group in GROUPS)


def shared(words: list[str]) -> list[list[str]]:
    """What is left of each process's words without those that all of them have."""
    return [each[3:] for each in pytest_words(words)]


def test_every_test_belongs_to_one_group() -> None:
    folders = {path.parent for path in (paths.ROOT / "tests").rglob("test_*.py")}
    named = [str(path.relative_to(paths.ROOT)) for path in folders]
    assert sorted(ALONE + WITH_PRODUCT) == sorted(named)


@pytest.mark.parametrize(
    ("words", "processes"),
    [
        ([], [ALONE, WITH_PRODUCT]),
        (["-k", "route"], [["-k", "route", *ALONE], ["-k", "route", *WITH_PRODUCT]]),
        (["-k", "tests"], [["-k", "tests", *ALONE], ["-k", "tests", *WITH_PRODUCT]]),
        (["-x", "tests/unit"], [["-x", "tests/unit"]]),
        (
            ["tests/ui/test_screens.py::test_a_screen"],
            [["tests/ui/test_screens.py::test_a_screen"]],
        ),
        (["tests/local", "tests/ui", "-v"], [["-v", "tests/local"], ["-v", "tests/ui"]]),
        (["tests"], [ALONE, WITH_PRODUCT]),
        (["no_such_file.py"], [["no_such_file.py"]]),
    ],
)
def test_words_and_paths_go_where_they_belong(words: list[str], processes: list[list[str]]) -> None:
    assert shared(words) == processes


# Says which of the processes it is, and ends with the code that `-k` has for it.
PROGRAM = """
import sys
name = "product" if "tests/worker" in sys.argv else "alone"
codes = dict(each.split(":") for each in sys.argv[sys.argv.index("-k") + 1].split())
print(name, "has ended")
sys.exit(int(codes[name]))
"""


def run(codes: str) -> subprocess.CompletedProcess[str]:
    """Both processes with another program than pytest."""
    call = f"run_tests(['-k', {codes!r}], program=('-c', {PROGRAM!r}))"
    return subprocess.run(
        [sys.executable, "-c", f"from scripts.run_tests import run_tests; exit(not {call})"],
        cwd=paths.ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ("alone:0 product:0", 0),
        ("alone:1 product:0", 1),
        ("alone:0 product:1", 1),
        ("alone:0 product:5", 0),
        ("alone:5 product:0", 0),
        ("alone:5 product:1", 1),
        ("alone:5 product:5", 1),
    ],
)
def test_the_exit_code_and_both_outputs(codes: str, code: int) -> None:
    """5 is pytest's code for no test at all, which only both together may not have."""
    done = run(codes)
    assert done.returncode == code, done.stderr
    assert done.stdout.splitlines() == ["alone has ended", "product has ended"]
