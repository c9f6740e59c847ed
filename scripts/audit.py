"""Known vulnerabilities of what is installed: `npm audit`, and pip-audit over the pinned packages.

Part of `npm run check`. A registry that has no list of vulnerabilities, or cannot be reached, is no
failure: a line says that nothing was checked.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scripts import paths, tools
from scripts.steps import StepFailed, do_step

TIMEOUT_SECONDS = 120
# What the Worker consists of, and what tests and development use.
PINS = (paths.WORKER_REQUIREMENTS, paths.CONSTRAINTS)


@dataclass(frozen=True)
class Audit:
    """`checked` is how many packages a list of vulnerabilities was found for; `reason` says why it
    is 0. `found` names each vulnerability with its package."""

    checked: int
    found: list[str]
    reason: str = ""


def audit() -> bool:
    """Print the result of each and return whether no vulnerability is known."""
    run: dict[str, Callable[[], Audit]] = {"npm audit": _npm, "pip-audit": _pip}
    good = True
    for name, check in run.items():
        result = check()
        if not result.checked:
            print(f"{name}: skipped, {result.reason}")
            continue
        print(f"{name}: {result.checked} packages, {len(result.found)} known vulnerabilities")
        for each in result.found:
            print(f"  {each}")
        good = good and not result.found
    return good


def read_npm(report: Any) -> Audit:
    """npm's report. One of an error has no `metadata`."""
    if "metadata" not in report:
        error = report.get("error") or {}
        why = report.get("message") or error.get("summary") or "no answer"
        return Audit(0, [], f"the registry has no list of vulnerabilities ({why.split(' - ')[0]})")
    found = [f"{name}: {facts['severity']}" for name, facts in report["vulnerabilities"].items()]
    return Audit(report["metadata"]["dependencies"]["total"], found)


def read_pip(report: Any) -> Audit:
    """pip-audit's report of one file. A package that the index does not list is skipped in it."""
    checked = [each for each in report["dependencies"] if "skip_reason" not in each]
    found = [
        f"{each['name']} {each['version']}: {v['id']}" for each in checked for v in each["vulns"]
    ]
    reason = "" if checked else "the index has no list of vulnerabilities"
    return Audit(len(checked), found, reason)


def _npm() -> Audit:
    npm = shutil.which("npm")
    if npm is None:
        return Audit(0, [], "npm is not there")
    return _read(read_npm, [npm, "audit", "--json"])


def _pip() -> Audit:
    step = tools.vulnerability_checker()
    try:
        if not step.is_done():
            do_step(step)
    except StepFailed:
        return Audit(0, [], "pip-audit cannot be installed")
    options = "--format json --no-deps --disable-pip --progress-spinner off".split()
    program = [str(paths.PYTHON), "-m", "pip_audit", *options]
    results = [_read(read_pip, [*program, "--requirement", str(pins)]) for pins in PINS]
    found = [each for result in results for each in result.found]
    return Audit(sum(each.checked for each in results), found, results[0].reason)


def _read(read: Callable[[Any], Audit], command: list[str]) -> Audit:
    environment = {**os.environ, "PYTHONPATH": str(paths.VULNERABILITY_CHECKER)}
    try:
        done = subprocess.run(
            command,
            cwd=paths.ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        return read(json.loads(done.stdout))
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return Audit(0, [], "the registry cannot be reached")
