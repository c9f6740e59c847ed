"""The file of a backup: a first line for people, one statement a line, and a last line that says
that it is complete. Its rows name their tables' columns; which schema they belong to says the table
of the migrations, which is among them."""

import re
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from scripts.backups.schema import APPLIED, Made, data_tables, migrations, schema_at, version_of
from scripts.backups.sql import Value, insert, literal, quoted
from scripts.steps import StepFailed

_INSERT = re.compile(r'INSERT INTO "?(\w+)"? ')
_END = re.compile(r"-- complete: (\d+) rows\n?")


@dataclass(frozen=True)
class Dump:
    """`rows` by table; `others` are tables that are none of EdgeNeuro's."""

    path: Path
    version: int
    rows: dict[str, int]
    others: dict[str, int]


def first_line(version: int, at: time.struct_time, of: str) -> str:
    return f"-- EdgeNeuro, schema {version}, {time.strftime('%Y-%m-%dT%H:%M:%SZ', at)}, {of}\n"


def write_rows(source: sqlite3.Connection, tables: Sequence[Made], file: TextIO) -> int:
    """Write the rows of these tables, as they are in one moment; returns their number."""
    written = 0
    source.text_factory = _text
    source.execute("BEGIN")
    try:
        for table in tables:
            for columns, row in table_rows(source, table.name):
                file.write(insert(table.name, columns, [*map(literal, row)]) + "\n")
                written += 1
    finally:
        source.execute("ROLLBACK")
    return written


def copy_rows(export: Path, file: TextIO) -> int:
    """Copy the rows of what D1 has exported; returns their number. Raises StepFailed if a row is
    not one line."""
    written = 0
    for line in lines(export):
        if _INSERT.match(line) and line.rstrip("\n").endswith(");"):
            file.write(line if line.endswith("\n") else line + "\n")
            written += 1
        elif line.strip() and not line.startswith("PRAGMA "):
            raise StepFailed(
                f"D1's export has a line that is no row: {line[:80]!r}.",
                "report it: the form of D1's exports has changed.",
            )
    return written


def end(rows: int) -> str:
    return f"-- complete: {rows} rows\n"


def table_rows(
    source: sqlite3.Connection, table: str
) -> Iterator[tuple[Sequence[str], Sequence[Value]]]:
    # A generated column cannot be written.
    hidden = source.execute(f"PRAGMA table_xinfo({quoted(table)})").fetchall()
    columns = [row[1] for row in hidden if row[6] == 0]
    names = ", ".join(map(quoted, columns))
    for row in source.execute(f"SELECT {names} FROM {quoted(table)}"):
        yield columns, row


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def read_dump(path: Path) -> Dump:
    """What the file holds. Raises StepFailed if it is not complete, or of a newer version."""
    counts: dict[str, int] = {}
    applied: list[str] = []
    last = ""
    for line in lines(path):
        last = line
        if found := _INSERT.match(line):
            counts[found[1]] = counts.get(found[1], 0) + 1
            if found[1] == APPLIED:
                applied += re.findall(r"'(\d{4}_[^']*)'", line)
    complete = _END.fullmatch(last)
    if complete is None or int(complete[1]) != sum(counts.values()):
        raise StepFailed(
            f"{path} is not a complete backup: its last line does not say how many rows there are,"
            f" or there are {sum(counts.values())}.",
            "take another backup; `npm run backup` makes files that can be restored.",
        )
    version = _version(path, applied)
    known = {each.name for each in data_tables(schema_at(version))}
    return Dump(
        path,
        version,
        {name: count for name, count in counts.items() if name in known},
        {name: count for name, count in counts.items() if name not in known},
    )


def _version(path: Path, applied: Iterable[str]) -> int:
    names, known = sorted(applied), [each.name for each in migrations()]
    if names == known[: len(names)] and names:
        return version_of(names[-1])
    strange = sorted(set(names) - set(known))
    if strange and version_of(strange[-1]) > version_of(known[-1]):
        raise StepFailed(
            f"{path} has schema {version_of(strange[-1])}, and this version of EdgeNeuro knows"
            f" schema {version_of(known[-1])}.",
            "check out the version that made it, or a newer one, and restore it there.",
        )
    raise StepFailed(
        f"{path} was not made by the migrations of EdgeNeuro: {', '.join(strange) or 'it has none'}"
    )


def load_dump(dump: Dump, into: Path) -> sqlite3.Connection:
    """The dump's rows in a database file, in tables of its version without triggers and indexes.
    Raises StepFailed for a row that does not fit."""
    connection = sqlite3.connect(into, isolation_level=None)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.text_factory = _text
    for table in data_tables(schema_at(dump.version)):
        connection.execute(table.sql)
    connection.execute("BEGIN")
    for number, line in enumerate(lines(dump.path), 1):
        found = _INSERT.match(line)
        if found is None or found[1] not in dump.rows:
            continue
        try:
            # A text of SQL must not hold U+0000, which D1 writes as it is.
            connection.execute(line.replace("\0", "'||char(0)||'"))
        except (sqlite3.Error, sqlite3.Warning, UnicodeError) as error:
            connection.close()
            raise StepFailed(f"{dump.path}, line {number} cannot be read: {error}.") from error
    connection.execute("COMMIT")
    return connection


def lines(path: Path) -> Iterator[str]:
    """Line by line, where a line ends with a line feed alone."""
    with closing(path.open(encoding="utf-8", errors="surrogateescape", newline="\n")) as file:
        yield from file
