"""The samples of samples/: labelled queries and dialogues for the demonstration agents."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.paths import ROOT

FOLDER = ROOT / "samples"
QUERIES, DIALOGUES = FOLDER / "queries.jsonl", FOLDER / "dialogues.jsonl"
AGENTS = frozenset({"it_support", "hr", "finance", "legal", "facilities", "general"})
NO_AGENT = "none"
EVERY = 3  # each third query, and each third dialogue, is asked and not learned


@dataclass(frozen=True)
class Sample:
    """A line of a file: `dialogue` is 0 for a query alone, `context` the turn before."""

    line: int
    query: str
    agent: str
    dialogue: int
    context: dict[str, str] | None

    @property
    def row(self) -> dict[str, Any]:
        """As an import takes it."""
        row: dict[str, Any] = {"query": self.query, "agent": self.agent}
        return row if self.context is None else {**row, "context": self.context}


def queries(path: Path = QUERIES) -> list[Sample]:
    return list(_read(path))


def dialogues(path: Path = DIALOGUES) -> list[Sample]:
    return list(_read(path))


def held_out(
    samples: Iterable[Sample], *, by: Callable[[Sample], int]
) -> tuple[list[Sample], list[Sample]]:
    """What is learned, and what is asked. All samples with one number are on one side."""
    parts: tuple[list[Sample], list[Sample]] = ([], [])
    for sample in samples:
        parts[by(sample) % EVERY == 0].append(sample)
    return parts


def import_lines(samples: Sequence[Sample]) -> bytes:
    return "".join(f"{json.dumps(each.row, ensure_ascii=False)}\n" for each in samples).encode()


def _read(path: Path) -> Iterable[Sample]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            row = json.loads(line)
            yield Sample(
                number, row["query"], row["agent"], row.get("dialogue", 0), row.get("context")
            )
