"""The rows of a file of labels: JSON Lines, a JSON array, or CSV with the separators that
spreadsheets write."""

import csv
import re
from collections.abc import AsyncGenerator, Collection, Iterator
from contextlib import aclosing
from typing import Any, Literal

from edgeneuro import bounded_json
from edgeneuro.controlplane.labels.import_text import FileStream, FileText
from edgeneuro.domain.fields import MAX_QUERY_CHARACTERS

Format = Literal["auto", "jsonl", "csv"]
Row = dict[str, Any]
_SEPARATORS = (",", ";", "\t", "|")
_SEPARATOR_LINE = re.compile(r"\ufeff?sep=(.)\s*", re.IGNORECASE)  # Excel's first line
_MAX_LINE_BYTES = 1_000_000
_LINE_TOO_LONG = f"this line is longer than {_MAX_LINE_BYTES:,} bytes"
_AGENT_COLUMNS = {"agent", "agent_id"}


class RowFault(Exception):
    """Why a row cannot be taken; `param` is the field at fault."""

    def __init__(self, param: str | None, message: str) -> None:
        self.param = param
        self.message = message


async def file_rows(
    file: FileText | FileStream, format: Format, columns: Collection[str] | None = None
) -> AsyncGenerator[tuple[int, Row | RowFault], None]:
    """The rows of a file, as `read_rows` and `stream_rows` read them."""
    if isinstance(file, FileText):
        for found in read_rows(file.text, format, columns):
            yield found
        return
    async with aclosing(stream_rows(file.chunks)) as rows:
        async for found in rows:
            yield found


def read_rows(
    text: str, format: Format, columns: Collection[str] | None = None
) -> Iterator[tuple[int, Row | RowFault]]:
    """The rows with their line numbers; those of a JSON array with their places in it. "auto" goes
    by the file's first character. `columns` are those that a CSV file must have, by default query
    and agent, whose names are then read without regard to case."""
    first = text.lstrip()[:1]
    if format == "csv" or (format == "auto" and first not in ("{", "[")):
        return _csv_rows(text, columns)
    return _array_rows(text) if first == "[" else _json_rows(text)


async def stream_rows(
    chunks: AsyncGenerator[bytes, None],
) -> AsyncGenerator[tuple[int, Row | RowFault], None]:
    """The rows of JSON Lines in UTF-8 with their line numbers. No more than a line and a chunk is
    held."""
    number, rest = 0, b""
    skipping = False  # the line has been refused already
    async with aclosing(chunks):
        async for chunk in chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                number += 1
                if skipping:
                    skipping = False
                elif (found := _json_row(number, line)) is not None:
                    yield number, found
            if len(rest) > _MAX_LINE_BYTES:
                if not skipping:
                    yield number + 1, RowFault(None, _LINE_TOO_LONG)
                rest, skipping = b"", True
    if not skipping and (found := _json_row(number + 1, rest)) is not None:
        yield number + 1, found


def _json_rows(text: str) -> Iterator[tuple[int, Row | RowFault]]:
    for number, line in enumerate(_lines(text), start=1):
        if (found := _json_row(number, line)) is not None:
            yield number, found


def _json_row(number: int, line: str | bytes) -> Row | RowFault | None:
    """None for a line that is no row: an empty one, or the manifest."""
    if not line.strip():
        return None
    try:
        row = bounded_json.loads(line, object_pairs_hook=_object)
    except RowFault as fault:
        return fault
    except bounded_json.InvalidJsonError:
        return RowFault(None, "this line is not JSON")
    if not isinstance(row, dict):
        return RowFault(None, "this line is not a JSON object")
    return None if number == 1 and _is_manifest(row) else row


def _array_rows(text: str) -> Iterator[tuple[int, Row | RowFault]]:
    try:
        rows = bounded_json.loads(text, object_pairs_hook=_object)
    except RowFault as fault:
        yield 1, fault
        return
    except bounded_json.InvalidJsonError as error:
        yield 1, RowFault(None, f"the file begins as a JSON array, but {error}")
        return
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            yield number, RowFault(None, "this item of the array is not a JSON object")
        elif not (number == 1 and _is_manifest(row)):
            yield number, row


def _object(pairs: list[tuple[str, Any]]) -> Row:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RowFault(twice[:100], f"{twice[:100]}: this key is there twice; keep one of them")
    return found


def _is_manifest(row: Row) -> bool:
    """The first line of an export. A row of labels may have a field of that name too."""
    return set(row) == {"manifest"} and isinstance(row["manifest"], dict)


def _lines(text: str) -> Iterator[str]:
    """One by one, with their ends. splitlines() would make all at once, and end lines at characters
    that JSON texts may hold."""
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _csv_rows(text: str, columns: Collection[str] | None) -> Iterator[tuple[int, Row | RowFault]]:
    line, separator = 1, None
    if stated := _SEPARATOR_LINE.fullmatch(next(_lines(text), "")):
        text, line, separator = text[stated.end() :], 2, stated[1]
    # Line ends within cells count as lines too.
    before = line - 1
    reader = csv.reader(_lines(text), strict=True, delimiter=separator or _separator(text))
    header: list[str] | None = None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                pass  # an empty line, or an empty row of a spreadsheet
            elif header is None:
                header = [cell.strip() for cell in cells]
                if columns is None:
                    header = [cell.lower() for cell in header]
                if fault := _header_fault(header, columns):
                    yield line, fault
                    return
            elif (fault := _cells_fault(cells, len(header))) is not None:
                yield line, fault
            else:
                yield line, {name: cell for name, cell in zip(header, cells, strict=False) if name}
            line = before + reader.line_num + 1
    except csv.Error as error:
        yield line, _csv_fault(error)


def _separator(text: str) -> str:
    """The one by which the first line with content has the columns that are needed; else the one
    that it has most of."""
    first = next((line for line in _lines(text) if line.strip()), "")
    for separator in _SEPARATORS:
        names = {cell.strip().strip('"').strip().lower() for cell in first.split(separator)}
        if "query" in names and names & _AGENT_COLUMNS:
            return separator
    return max(_SEPARATORS, key=first.count)


def _header_fault(header: list[str], columns: Collection[str] | None) -> RowFault | None:
    if columns is None and ("query" not in header or not _AGENT_COLUMNS & set(header)):
        return RowFault(
            None,
            "the first line must name the columns query and agent, separated by a comma, a"
            " semicolon or a tab",
        )
    absent = next((name for name in columns or () if name not in header), None)
    if absent is not None:
        return RowFault(absent, f"the first line names no column {absent!r}")
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is None:
        return None
    return RowFault(twice[:100], f"{twice[:100]}: this column is there twice; keep one of them")


def _cells_fault(cells: list[str], columns: int) -> RowFault | None:
    # Spreadsheets write empty cells beyond the last column.
    if len(cells) == columns or (len(cells) > columns and not any(cells[columns:])):
        return None
    return RowFault(None, f"this line has {len(cells)} cells, the first one has {columns}")


def _csv_fault(error: csv.Error) -> RowFault:
    if "field larger than field limit" in str(error):
        return RowFault(
            None,
            f"a cell is too long; a query has at most {MAX_QUERY_CHARACTERS:,} characters. A"
            " quotation mark that is not closed makes one cell of all that follows",
        )
    return RowFault(None, f"this line is not CSV: {error}")
