"""Times as callers write them: the one reader."""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

_MAX_CHARACTERS = 40
_YEARS = range(1971, 9000)  # those that every time zone can tell
# RFC 3339, and what people and their tools write for it: a date alone, a blank for the T, small
# letters, any number of fractional digits.
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d))?", re.ASCII
)
_ADVICE = (
    "a time like 2027-01-15T08:00:00Z or a date like 2027-01-15 (in an address write + as %2B)"
)


def read_moment(text: str) -> str:
    """The time in UTC, with microseconds, so that such texts sort by time. A date alone is its
    midnight in UTC; further fractional digits are cut off. Raises ValueError."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"must be {_ADVICE}")
    date, time, fraction, offset = found.groups()
    written = f"{date}T{time or '00:00:00'}.{(fraction or '')[:6]:0<6}{(offset or 'Z').upper()}"
    try:
        moment = datetime.fromisoformat(written)
        year = moment.year
        if year in _YEARS:
            return moment.astimezone(UTC).isoformat(timespec="microseconds")
    except ValueError as error:
        raise ValueError(f"is no time that exists; send {_ADVICE}") from error
    raise ValueError(f"must be in the years {_YEARS.start} to {_YEARS.stop - 1}")


Moment = Annotated[
    str,
    Field(max_length=_MAX_CHARACTERS),
    AfterValidator(read_moment),
    WithJsonSchema({"type": "string", "format": "date-time", "maxLength": _MAX_CHARACTERS}),
]
