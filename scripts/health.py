"""Asks a program of this machine for its health, again and again."""

import threading
import urllib.error
import urllib.request
from http.client import HTTPException

# A proxy that the environment names is for other machines than this one.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_TIMEOUT_SECONDS = 30.0
_STARTING_PAUSE_SECONDS = 0.1
_PAUSE_SECONDS = 5.0  # once it is healthy: an answer takes some milliseconds of CPU


def health_problem(url: str) -> str:
    """Return "" for a healthy address, else what is wrong with it."""
    return _ask(url)[1]


def _ask(url: str) -> tuple[bool, str]:
    """Whether there was an answer, and what is wrong."""
    try:
        with _DIRECT.open(url, timeout=_TIMEOUT_SECONDS) as answer:
            return True, "" if answer.status == 200 else f"status {answer.status}"
    except urllib.error.HTTPError as error:
        with error:
            return True, f"status {error.code}"
    except (OSError, HTTPException) as error:  # the latter if it ends while it answers
        return False, str(error) or type(error).__name__


class HealthProbe:
    """Asks in a thread of its own, since an answer may take long. `answers` counts answers of any
    status; `problem` says what was wrong the last time, and is "" after a healthy answer."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers = 0
        self.problem = "not asked yet"
        self._stopped = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        pause = 0.0
        while not self._stopped.wait(pause):
            is_answered, self.problem = _ask(self.url)
            self.answers += is_answered
            pause = _STARTING_PAUSE_SECONDS if self.problem else _PAUSE_SECONDS
