"""What a request to end does: Ctrl-C, SIGTERM and a closed terminal all raise Stopped."""

import ctypes
import signal
import sys
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)  # loaded before any fork


class Stopped(BaseException):
    """Somebody asked the program to end."""


def stop_on_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, _stop)


def ignore_signals() -> None:
    """Let nothing cut off the clean-up."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped


def end_with_parent() -> None:
    """In a new child: have the kernel end it when its parent is killed outright, where it can."""
    _on_parents_death(signal.SIGTERM)


def die_with_parent() -> None:
    """The same by force, for a child that has nothing to put in order."""
    _on_parents_death(signal.SIGKILL)


def _on_parents_death(number: signal.Signals) -> None:
    if sys.platform == "linux":
        LIBC.prctl(PR_SET_PDEATHSIG, number)
