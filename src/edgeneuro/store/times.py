"""Times are unix milliseconds in the tables and RFC 3339 in UTC outside."""

from datetime import UTC, datetime


def rfc3339(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unix_ms(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)
