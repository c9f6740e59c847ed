"""SQL text for rows: literals that stay on one line, and statements that D1 takes."""

import itertools
import math
import re
from collections.abc import Iterator, Sequence

Value = int | float | str | bytes | None

MAX_STATEMENT = 90_000  # bytes; D1 takes 100,000
_PIECE = 40_000  # bytes of a value that are put into one statement, twice as many hex digits
# Where the pieces of long values wait until their row is written.
PIECES = "restored_pieces"
CREATE_PIECES = (
    f"CREATE TABLE {PIECES} (id INTEGER NOT NULL, piece INTEGER NOT NULL, value BLOB NOT NULL,"
    " PRIMARY KEY (id, piece)) WITHOUT ROWID;"
)
DROP_PIECES = f"DROP TABLE {PIECES};"
# In quotes these would end a line, or a statement.
_UNSAFE = re.compile("[\0-\x1f\x7f\u0085\u2028\u2029\ud800-\udfff]")


def quoted(name: str) -> str:
    """A name of a table or a column."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: Value) -> str:
    """The value as SQL without a line break; all of its bytes come back."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    if isinstance(value, float):
        if math.isfinite(value):
            return repr(value)
        return "NULL" if math.isnan(value) else "9e999" if value > 0 else "-9e999"
    if isinstance(value, int):
        return str(value)
    if _UNSAFE.search(value):
        return f"CAST(X'{_bytes(value).hex()}' AS TEXT)"
    return "'" + value.replace("'", "''") + "'"


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")


def insert(table: str, columns: Sequence[str], values: Sequence[str]) -> str:
    names = ",".join(map(quoted, columns))
    return f"INSERT INTO {quoted(table)} ({names}) VALUES ({','.join(values)});"


def inserts(table: str, columns: Sequence[str], row: Sequence[Value]) -> Iterator[str]:
    """The row's statements, none longer than D1 takes: pieces of long values come first, and the
    row's own statement joins them. So triggers see the whole row once."""
    values = [literal(each) for each in row]
    sizes = [len(each.encode()) for each in values]
    ids = itertools.count(1)
    is_split = False
    while sum(sizes) + sum(map(len, columns)) + 5 * len(values) > MAX_STATEMENT:
        longest = max(range(len(sizes)), key=sizes.__getitem__)
        value = row[longest]
        if not isinstance(value, str | bytes) or sizes[longest] < 200:
            break  # nothing is left to split; D1 says so
        number = next(ids)
        yield from _pieces(number, _bytes(value))
        kind = "TEXT" if isinstance(value, str) else "BLOB"
        values[longest] = (
            f"(SELECT CAST(group_concat(value, '') AS {kind}) FROM (SELECT value FROM {PIECES}"
            f" WHERE id = {number} ORDER BY piece))"
        )
        sizes[longest] = len(values[longest])
        is_split = True
    yield insert(table, columns, values)
    if is_split:
        yield f"DELETE FROM {PIECES};"


def _pieces(number: int, content: bytes) -> Iterator[str]:
    for piece, at in enumerate(range(0, len(content), _PIECE)):
        part = content[at : at + _PIECE].hex()
        yield f"INSERT INTO {PIECES} (id, piece, value) VALUES ({number},{piece},X'{part}');"
