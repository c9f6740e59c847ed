"""How `npm test` divides the tests between its pytest processes."""

import subprocess
import sys

import pytest

from scripts import paths
from scripts.run_tests import groups, pytest_words

ALL = groups()
ALONE, TRAINING, WITH_PRODUCT, WITH_SANDBOX, WITH_BROWSER = ALL


def shared(words: list[str]) -> list[list[str]]:
    """What is left of each process's words without those that all of them have."""
    return [each[3:] for each in pytest_words(words)]


def test_every_test_belongs_to_one_group() -> None:
    files = (paths.ROOT / "tests").rglob("test_*.py")
    names = [str(path.relative_to(paths.ROOT)) for path in files]
    homes = [part for group in ALL for part in group]
    for name in names:
        assert len([home for home in homes if name == home or name.startswith(f"{home}/")]) == 1
    assert {"tests/worker/test_chat.py", "tests/worker/test_keys.py"} <= {*WITH_PRODUCT}
    assert "tests/worker/test_jobs.py" in WITH_SANDBOX
    assert {"tests/unit/test_learning.py", "tests/unit/test_schema.py"} <= {*TRAINING}


@pytest.mark.parametrize(
    ("words", "processes"),
    [
        ([], ALL),
        (["-k", "route"], [["-k", "route", *each] for each in ALL]),
        (["-k", "tests"], [["-k", "tests", *each] for each in ALL]),
        (
            ["-x", "tests/unit"],
            [["-x", *ALONE], ["-x", *TRAINING]],
        ),
        (
            ["tests/ui/test_screens.py::test_a_screen"],
            [["tests/ui/test_screens.py::test_a_screen"]],
        ),
        (["tests/local", "tests/ui", "-v"], [["-v", "tests/local"], ["-v", "tests/ui"]]),
        (
            ["tests/worker"],
            [[each for each in part if "worker" in each] for part in (WITH_PRODUCT, WITH_SANDBOX)],
        ),
        (["tests/worker/test_jobs.py::test_a"], [["tests/worker/test_jobs.py::test_a"]]),
        (["tests"], ALL),
        (["no_such_file.py"], [["no_such_file.py"]]),
    ],
)
def test_words_and_paths_go_where_they_belong(words: list[str], processes: list[list[str]]) -> None:
    assert shared(words) == processes


# Says which of the processes it is, and ends with the code that `-k` has for it.
PROGRAM = """
import sys
names = {
    "tests/unit/test_learning.py": "training",
    "tests/worker/test_chat.py": "product",
    "tests/worker/test_jobs.py": "sandbox",
    "tests/ui": "browser",
}
[name] = [names[word] for word in sys.argv if word in names] or ["alone"]
codes = dict(each.split(":") for each in sys.argv[sys.argv.index("-k") + 1].split())
print(name, "has ended")
sys.exit(int(codes[name]))
"""


def run(codes: str) -> subprocess.CompletedProcess[str]:
    """All processes with another program than pytest."""
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
        ("alone:0 training:0 product:0 sandbox:0 browser:0", 0),
        ("alone:1 training:0 product:0 sandbox:0 browser:0", 1),
        ("alone:0 training:0 product:1 sandbox:0 browser:0", 1),
        ("alone:0 training:0 product:5 sandbox:0 browser:0", 0),
        ("alone:5 training:5 product:0 sandbox:0 browser:0", 0),
        ("alone:5 training:5 product:5 sandbox:1 browser:5", 1),
        ("alone:5 training:5 product:5 sandbox:5 browser:0", 0),
        ("alone:0 training:0 product:0 sandbox:0 browser:1", 1),
        ("alone:5 training:5 product:5 sandbox:5 browser:5", 1),
    ],
)
def test_the_exit_code_and_all_outputs(codes: str, code: int) -> None:
    """5 is pytest's code for no test at all, which only all together may not have."""
    done = run(codes)
    assert done.returncode == code, done.stderr
    assert done.stdout.splitlines() == [
        f"{name} has ended" for name in ("alone", "training", "product", "sandbox", "browser")
    ]
