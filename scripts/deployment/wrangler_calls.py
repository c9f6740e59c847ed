"""Calls of wrangler in a deployment. What they did is read from the report that wrangler writes as
JSON, never from what it prints for people."""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.paths import ROOT, STATE
from scripts.private import private_folder
from scripts.steps import StepFailed, run
from scripts.wrangler import environment, wrangler

Entry = dict[str, Any]
Run = Callable[[Sequence[str], Mapping[str, str]], str]
VERSION_ADVICE = (
    "this project works with the wrangler that package.json pins: remove node_modules and start"
    " again. If it stays, report it with the text above."
)
# What wrangler fails with, by Cloudflare's code, and what to do about it.
ADVICE = {
    100328: "the account is on the plan Workers Free; EdgeNeuro needs Workers Paid ($5 a month):"
    " https://dash.cloudflare.com/?to=/:account/workers/plans. Then run the same command again.",
    10027: "the Worker is larger than the account's plan takes; Workers Paid takes it.",
    10000: "the login lacks a permission; docs/deploy.md lists those of an API token.",
    10023: "the account has as many Workers as its plan takes; delete one or ask for more.",
    10037: "the account has as many cron triggers as its plan takes; Workers Paid takes more.",
}
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class NotLoggedIn(StepFailed):
    """wrangler has no login of its own."""


def login_token() -> str:
    """The token of wrangler's own login. Raises NotLoggedIn if there is none."""
    words = wrangler("auth", "token", "--json")
    done = subprocess.run(
        words,
        cwd=ROOT,
        env=_environment({}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return token_in(done.returncode, done.stdout, done.stderr)


def log_in() -> None:
    """Let wrangler ask in the browser; this terminal is its own until then."""
    words = wrangler("login")
    subprocess.run(
        words, cwd=ROOT, env={**os.environ, "WRANGLER_SEND_METRICS": "false"}, check=False
    )


def token_in(code: int, output: str, errors: str) -> str:
    """The token in what `wrangler auth token --json` prints. Raises StepFailed."""
    if code:
        said = _COLOURS.sub("", errors).replace("✘ [ERROR] ", "").strip().splitlines()
        raise NotLoggedIn(
            said[0] if said else "wrangler has no login.",
            "run `npm run wrangler -- login`, which opens a browser; or set CLOUDFLARE_API_TOKEN to"
            " a token with the permissions that docs/deploy.md lists.",
        )
    try:
        answer = json.loads(output)
        kind, token = answer["type"], answer.get("token")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StepFailed(
            "`wrangler auth token --json` did not print the JSON that is known.", VERSION_ADVICE
        ) from error
    if kind not in ("oauth", "api_token") or not isinstance(token, str):
        raise StepFailed(
            f"wrangler's login is of the kind {kind!r}.",
            "set CLOUDFLARE_API_TOKEN to an API token; a global API key is not used.",
        )
    return token


def run_wrangler(
    words: Sequence[str],
    config: Path,
    account: str,
    *,
    warn: Callable[[str], None] = print,
    run_command: Run = run,
) -> list[Entry]:
    """Run wrangler with this configuration; returns the lines of its report. Raises StepFailed with
    what to do where the failure is a known one."""
    private_folder(STATE)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report"
        variables = {
            "WRANGLER_OUTPUT_FILE_PATH": str(report),
            "CLOUDFLARE_ACCOUNT_ID": account,
            # The name in the configuration is the one that was looked for.
            "WRANGLER_CI_OVERRIDE_NAME": "",
        }
        try:
            printed = run_command(wrangler(*words, "--config", config), _environment(variables))
        except StepFailed as failure:
            raise _explained(failure, entries_of(report)) from failure
        for warning in re.findall(r"\[WARNING\] *(.*)", _COLOURS.sub("", printed)):
            warn(f"\n  wrangler warns: {warning}")
        return entries_of(report)


def entries_of(report: Path) -> list[Entry]:
    """The objects of the report; what is no JSON object is left out."""
    if not report.exists():
        return []
    entries = []
    for line in report.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries


def _explained(failure: StepFailed, entries: Sequence[Entry]) -> StepFailed:
    failed = next((each for each in entries if each.get("type") == "command-failed"), {})
    code = failed.get("code")
    why = _COLOURS.sub("", failure.why)
    # An older report has no code; the text has it.
    codes = [code] if isinstance(code, int) else map(int, re.findall(r"\[code: (\d+)\]", why))
    advice = next((ADVICE[each] for each in codes if each in ADVICE), "")
    return StepFailed(
        why, advice or "see wrangler's message above; then run the same command again."
    )


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    own = {**environment(STATE), **variables}
    return {name: value for name, value in own.items() if value or name not in variables}
