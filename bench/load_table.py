"""The table of bench/load.py, and its place in a page between two comments."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from os import cpu_count
from pathlib import Path

from bench.load_generator import generator_name
from bench.load_measures import AT_ONCE, Pieces, Rows

BEGIN, END = "<!-- bench.load -->", "<!-- /bench.load -->"
_HEADS = (
    "target",
    "c1 p50 ms",
    "of the bare Worker's",
    "c1 p99 ms",
    "c8 req/s",
    "of the bare Worker's",
    "c8 p99 ms",
    "CPU ms",
    "D1 rows, alone",
    f"D1 rows, {AT_ONCE} at once",
)


@dataclass
class Line:
    """What was measured of one target: with one connection and with eight."""

    name: str
    c1: Pieces = field(default_factory=Pieces)
    c8: Pieces = field(default_factory=Pieces)
    rows: Rows | None = None


def table(lines: Sequence[Line], rounds: int, seconds: float) -> str:
    """In Markdown. The first line is the bare Worker."""
    rows = [_HEADS, ("---",) * len(_HEADS), *map(_cells, lines)]
    made = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
    requests = sum(line.c1.requests + line.c8.requests for line in lines)
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}, {cpu_count()} CPUs ({platform.machine()}), with"
        f" {generator_name()}: {rounds} rounds of {seconds:g} s,\n{requests:,} requests.\n\n"
        f"{made}\n"
    )


def _cells(line: Line) -> tuple[str, ...]:
    c1, c8 = line.c1, line.c8
    return (
        line.name,
        f"{c1.of(lambda piece: piece.own.p50):.2f}",
        _ratio(c1.of(lambda piece: piece.p50_ratio), c1.span(lambda piece: piece.p50_ratio)),
        f"{c1.of(lambda piece: piece.own.p99):.1f}",
        f"{c8.of(lambda piece: piece.own.per_second):.0f}",
        _ratio(c8.of(lambda piece: piece.rate_ratio), c8.span(lambda piece: piece.rate_ratio)),
        f"{c8.of(lambda piece: piece.own.p99):.1f}",
        "" if c1.cpu_ms is None else f"{c1.cpu_ms:.2f}",
        "" if line.rows is None else f"{line.rows.alone:.1f}",
        "" if line.rows is None else f"{line.rows.burst:.1f}",
    )


def _ratio(middle: float, span: tuple[float, float]) -> str:
    return f"{middle:.2f} [{span[0]:.2f}, {span[1]:.2f}]"


def write_table(page: Path, text: str) -> None:
    """Raises ValueError if the page has not both comments."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page} needs {BEGIN} and {END}, where the table goes")
    page.write_text(f"{before}{BEGIN}\n{text}{END}{after}", encoding="utf-8")
