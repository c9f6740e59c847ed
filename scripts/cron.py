"""Fires the crons of a local product, which wrangler does not do. wrangler accepts them from any
caller at an address of its own, so the Worker requires this installation's token."""

import json
import threading
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

# More often than Cloudflare's minute, so that a job starts soon.
JOBS_CRON, JOBS_SECONDS = "* * * * *", 2.0
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
    """Fires the cron of that address, and waits for its end. Raises OSError."""
    with _DIRECT.open(url, timeout=_RUN_SECONDS) as response:
        response.read()


class LocalCron:
    """Fires both crons until `stop`, each in a thread of its own, so that a long run of one does
    not delay the other. Runs of the same cron never overlap."""

    def __init__(self, base_url: str, *, token: str) -> None:
        self._base_url = base_url
        self._token = token
        self._stopped = threading.Event()

    def start(self) -> None:
        for cron, seconds in ((JOBS_CRON, JOBS_SECONDS), (HOURLY_CRON, HOUR_SECONDS)):
            threading.Thread(target=self._fire, args=[cron, seconds], daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _fire(self, cron: str, seconds: float) -> None:
        while not self._stopped.wait(seconds):
            try:
                fire(cron_url(self._base_url, cron, token=self._token))
            except OSError:
                continue  # the Worker is restarting or ending; its log says why
