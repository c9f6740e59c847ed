"""When an upstream may be asked again, out of its headers."""

import math
from collections.abc import Callable
from datetime import UTC, datetime

from edgeneuro.gateway.http import HttpResponse

_MAX_SECONDS = 86_400


def read_retry_after(response: HttpResponse, now: Callable[[], float]) -> str | None:
    """Whole seconds, rounded up, from `retry-after-ms` or `retry-after`, which is a number of
    seconds or an HTTP date; None where there is neither."""
    milliseconds = _number(response.header("retry-after-ms"))
    if milliseconds is not None:
        return _told(milliseconds / 1000)
    given = response.header("retry-after")
    seconds = _number(given)
    if seconds is None:
        at = _http_date(given)
        seconds = None if at is None else max(0.0, at - now())
    return None if seconds is None else _told(seconds)


def _told(seconds: float) -> str:
    return str(min(math.ceil(seconds), _MAX_SECONDS))


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _http_date(text: str | None) -> float | None:
    try:
        moment = datetime.strptime(text or "", "%a, %d %b %Y %H:%M:%S GMT")
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC).timestamp()
