"""`npm test`, `npm run check`, `lint`, `format`: sets up what is missing, then runs the tools.
`check` is all of them, and looks for known vulnerabilities of the packages.

Words after the name go to pytest: `npm test -- -k route`, `npm test -- tests/unit/test_route.py`.
"""

import signal
import subprocess
import sys

from scripts import paths
from scripts.audit import audit
from scripts.run_tests import run_tests
from scripts.setup import prepare
from scripts.signals import end_with_parent

CODE = ("src", "tests", "scripts", "local", "bench", "trainer", "edgeneuro_testing")


def main() -> None:
    name, *rest = sys.argv[1:] or ["check"]
    code = [folder for folder in CODE if any((paths.ROOT / folder).rglob("*.py"))]
    lint = [
        ["ruff", "format", "--check", "."],
        ["ruff", "check", "."],
        ["mypy", *code],
        ["biome", "check", "--error-on-warnings", "."],
    ]
    tests = [["pytest", *rest]]
    commands = {
        "format": [
            ["ruff", "format", "."],
            ["ruff", "check", "--fix", "."],
            ["biome", "check", "--write", "."],
        ],
        "lint": lint,
        "tests": tests,
        "check": lint + tests,
    }
    if name not in commands:
        sys.exit(f"There is no {name!r}: use one of {', '.join(commands)}.")
    try:
        prepare(tests=True)
    except KeyboardInterrupt:
        sys.exit("\nStopped.")
    # All of them, so that one run shows every failure.
    failed = [words[0] for words in commands[name] if not passes(words)]
    if name == "check" and not audit():
        failed.append("audit")
    if failed:
        sys.exit(f"\nFailed: {', '.join(failed)}")


def passes(words: list[str]) -> bool:
    # Ctrl-C reaches the tools too, which then put their things in order and end.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    name, *rest = words
    if name == "pytest":
        return run_tests(rest)
    python = [str(paths.PYTHON), "-m", name]
    command = [*([str(paths.BIOME)] if name == "biome" else python), *rest]
    with subprocess.Popen(command, cwd=paths.ROOT, preexec_fn=end_with_parent) as process:
        return process.wait() == 0


if __name__ == "__main__":
    main()
