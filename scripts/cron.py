"""Fires the crons of a local product, which wrangler does not do. wrangler accepts them from any
caller at an address of its own, so the Worker requires this installation's token."""

import json
import math
import sqlite3
import threading
import time
import urllib.request
from contextlib import closing, suppress
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlencode

MINUTES_CRON, MINUTE_SECONDS = "* * * * *", 60.0
JOBS_SECONDS = 0.5  # between looks for a job that is due, so that it starts soon
HOURLY_CRON, HOUR_SECONDS = "0 * * * *", 3_600.0
_RUN_SECONDS = 900  # as long as Cloudflare lets a cron run
# A proxy of the environment is not for this machine.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def cron_url(base_url: str, cron: str, *, token: str) -> str:
    """Getting this address runs what the Worker does at that cron expression, or all of it if that
    is empty. The answer's `outcome` is "ok" if it ended well."""
    query = urlencode({"format": "json", "cron": f"{cron} {token}".strip()})
    return f"{base_url}/cdn-cgi/local/scheduled?{query}"


def running_cron_url(state: Path, cron: str = "") -> str:
    """The same for the product that runs on this state folder. Raises OSError if none did."""
    instance = json.loads((state / "edgeneuro" / "instance.json").read_text(encoding="utf-8"))
    return cron_url(instance["base_url"], cron, token=instance["cron_token"])


def fire(url: str) -> None:
    """Fires the cron of that address, and waits for its end. Raises OSError, also where the Worker
    ends within its answer."""
    try:
        with _DIRECT.open(url, timeout=_RUN_SECONDS) as response:
            response.read()
    except HTTPException as error:
        raise ConnectionError(str(error)) from error


def job_waits(state: Path, *, by_ms: float = math.inf) -> bool:
    """Whether the database in the state folder has a job that has not ended and pauses no longer
    than until `by_ms` (unix ms). A look takes a millisecond of CPU, a cron that finds nothing to do
    a hundred. True where the database cannot be read: then the cron says why."""
    try:
        return any(_has_job(path, by_ms) for path in (state / "v3" / "d1").rglob("*.sqlite"))
    except sqlite3.Error:
        return True


def _has_job(path: Path, by_ms: float) -> bool:
    if path.name == "metadata.sqlite":  # workerd's own
        return False
    query = (
        "SELECT 1 FROM jobs WHERE state IN ('queued', 'running')"
        " AND run_after <= ?1 AND lease_until <= ?1 LIMIT 1"
    )
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(query, [by_ms]).fetchone() is not None


class LocalCron:
    """Fires both crons until `stop`, each in a thread of its own, so that a long run of one does
    not delay the other. Runs of the same cron never overlap."""

    def __init__(self, base_url: str, *, token: str, state: Path) -> None:
        self._base_url = base_url
        self._token = token
        self._state = state
        self._stopped = threading.Event()

    def start(self) -> None:
        for work in (self._each_minute, self._each_hour):
            threading.Thread(target=work, daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _each_minute(self) -> None:
        due = time.monotonic() + MINUTE_SECONDS
        while not self._stopped.wait(JOBS_SECONDS):
            if time.monotonic() >= due or job_waits(self._state, by_ms=time.time() * 1_000):
                due = time.monotonic() + MINUTE_SECONDS
                self._fire(MINUTES_CRON)

    def _each_hour(self) -> None:
        while not self._stopped.wait(HOUR_SECONDS):
            self._fire(HOURLY_CRON)

    def _fire(self, cron: str) -> None:
        # With an error the Worker is restarting or ending; its log says why.
        with suppress(OSError):
            fire(cron_url(self._base_url, cron, token=self._token))
