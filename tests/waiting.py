"""Waiting for what the product does in the background."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_FIRST_PAUSE_SECONDS = 0.03
_MAX_PAUSE_SECONDS = 0.3


def until(look: Callable[[], T], holds: Callable[[T], object] = bool, *, seconds: float = 120) -> T:
    """What `look` returns as soon as it holds; fails after so many seconds.

    It pauses between looks, since the product needs the CPU meanwhile: to answer one takes 20 ms.
    """
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE_SECONDS
    while not holds(found := look()):
        assert time.monotonic() < deadline, f"after {seconds:.0f} s it is still {found!r}"
        time.sleep(pause)
        pause = min(pause * 2, _MAX_PAUSE_SECONDS)
    return found
