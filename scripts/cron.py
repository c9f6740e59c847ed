"""Fires the Worker's crons of a product that runs locally: wrangler fires none by itself."""

import threading
import urllib.request
from urllib.parse import urlencode

# The runner is quicker than Cloudflare's minute, so that nobody waits for a job to begin.
JOBS_CRON, JOBS_SECONDS = "* * * * *", 2.0
HOURLY_CRON, HOUR_SECONDS = "0 * * * *", 3_600.0
_RUN_SECONDS = 900  # as long as Cloudflare lets a cron run
# A proxy that the environment names is for other machines than this one.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fire(base_url: str, cron: str) -> None:
    """Runs what the Worker does at that cron expression, and waits for its end. Raises OSError."""
    query = urlencode({"format": "json", "cron": cron})
    with _DIRECT.open(f"{base_url}/cdn-cgi/local/scheduled?{query}", timeout=_RUN_SECONDS) as told:
        told.read()


class LocalCron:
    """Fires both crons until `stop`, each in a thread of its own, so that a long run of one does
    not delay the other. Runs of the same cron never overlap."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._stopped = threading.Event()

    def start(self) -> None:
        for cron, seconds in ((JOBS_CRON, JOBS_SECONDS), (HOURLY_CRON, HOUR_SECONDS)):
            threading.Thread(target=self._fire, args=[cron, seconds], daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _fire(self, cron: str, seconds: float) -> None:
        while not self._stopped.wait(seconds):
            try:
                fire(self._base_url, cron)
            except OSError:
                continue  # the Worker is restarting or ending; its log says why
