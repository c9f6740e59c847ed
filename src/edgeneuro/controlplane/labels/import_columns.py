"""Which columns of a file are the fields of an import: as somebody says, or as their names and
values suggest."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, get_args

from edgeneuro.controlplane.labels.import_rows import Row
from edgeneuro.domain.import_mapping import MAX_NAME_CHARACTERS, ImportColumns
from edgeneuro.domain.label import LabelSource
from edgeneuro.domain.query import Split

MAX_COLUMNS = 100
_MAX_SAMPLES = 3
_SAMPLE_CHARACTERS = 200
_MAX_NAME = 60  # on average, of what may be an agent's name
# As people call them, the most certain first.
_QUERY_NAMES = (
    *("query", "question", "utterance", "user_query", "user_message", "customer_message"),
    *("user_input", "message", "text", "prompt", "request", "sentence", "input", "user"),
    *("content", "body", "instruction", "phrase"),
)
_AGENT_NAMES = (
    *("agent", "agent_id", "agent_name", "expected_agent", "intent", "intent_name", "route"),
    *("routed_to", "target", "label", "label_text", "label_name", "category", "class", "team"),
    *("department", "queue", "skill", "topic", "domain", "expected", "assigned_to", "tag"),
)
_DESCRIPTION_NAMES = (
    *("agent_description", "description", "intent_description", "label_description"),
    *("category_description", "route_description"),
)
# Fields that only a column of exactly this name is, and what its values are then.
_PLAIN: Mapping[str, Sequence[str] | None] = {
    "context": None,
    "previous_agent": None,
    "previous_user": None,
    "previous_assistant": None,
    "split": get_args(Split),
    "labeler": None,
    "labelled_at": None,
    "source": (*get_args(LabelSource), "machine"),
}


class ColumnReader:
    """Makes a row of an import of a row of the file; only what is chosen is read."""

    def __init__(self, columns: ImportColumns) -> None:
        chosen = columns.chosen
        chosen.pop("agent_description", None)
        self._agent = chosen.get("agent")
        self._chosen = tuple(chosen.items())

    def read(self, row: Row) -> Row:
        found = {field: row[column] for field, column in self._chosen if column in row}
        agent = found.get("agent")
        if isinstance(agent, int) and not isinstance(agent, bool):  # a class, by its number
            found["agent"] = str(agent)
        return found


class ColumnStats:
    """The values of a column in the first rows of a file. Only texts and numbers can be an agent;
    `samples` shows all values."""

    def __init__(self) -> None:
        self.samples: list[str] = []
        self.values: dict[str, int] = {}
        self.filled = 0
        self.characters = 0
        self.plain = True

    def add(self, value: Any) -> None:
        if value is None or value == "":
            return
        self.filled += 1
        if not isinstance(value, str | int | float):
            self.plain = False
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        self.characters += len(text)
        text = writable(text[:_SAMPLE_CHARACTERS].strip())
        self.values[text] = self.values.get(text, 0) + 1
        if len(self.samples) < _MAX_SAMPLES and text not in self.samples:
            self.samples.append(text)

    @property
    def average(self) -> float:
        return self.characters / self.filled if self.filled else 0

    @property
    def repeats(self) -> bool:
        """Whether its values come again, as the names of agents do."""
        return 2 * len(self.values) <= self.filled


def writable(text: str) -> str:
    """The text with "?" for each half of a surrogate pair, which no answer can hold."""
    return text.encode("utf-8", "replace").decode()


def column_stats(rows: Iterable[Row]) -> dict[str, ColumnStats]:
    found: dict[str, ColumnStats] = {}
    for row in rows:
        for name, value in row.items():
            fits = len(name) <= MAX_NAME_CHARACTERS and writable(name) == name
            if name in found or (len(found) < MAX_COLUMNS and fits):
                found.setdefault(name, ColumnStats()).add(value)
    return found


def guess_columns(
    columns: Mapping[str, ColumnStats], knows: Callable[[str], bool]
) -> ImportColumns:
    """`knows` says whether a text is the name of an agent. What is not found is left open."""
    chosen: dict[str, str] = {}
    by_name = {_plain(name): name for name in reversed(list(columns))}
    for field, values in _PLAIN.items():
        column = by_name.get(field)
        if column is not None and (values is None or set(columns[column].values) <= set(values)):
            chosen[field] = column
    for field, names in (("agent_description", _DESCRIPTION_NAMES), ("messages", ("messages",))):
        if column := _first(names, by_name):
            chosen[field] = column
    free = [name for name in columns if name not in chosen.values()]
    if agent := _guess_agent(free, columns, by_name, knows):
        chosen["agent"] = agent
        free.remove(agent)
    if query := _guess_query(free, columns, by_name, with_values="messages" not in chosen):
        chosen["query"] = query
        chosen.pop("messages", None)
    return ImportColumns.model_validate(chosen)


def _plain(name: str) -> str:
    return "_".join(name.strip().lower().replace("-", " ").replace("_", " ").split())


def _first(names: Sequence[str], by_name: Mapping[str, str]) -> str | None:
    return next((by_name[name] for name in names if name in by_name), None)


def _guess_agent(
    free: Sequence[str],
    columns: Mapping[str, ColumnStats],
    by_name: Mapping[str, str],
    knows: Callable[[str], bool],
) -> str | None:
    """The column with the names of agents, else by its own name, else the one with the fewest
    different values."""
    able = [name for name in free if columns[name].plain and columns[name].filled]
    known = {name: _known_share(columns[name], knows) for name in able}
    best = max(able, key=lambda name: known[name], default=None)
    if best is not None and known[best] >= 0.5:
        return best
    if (named := _first(_AGENT_NAMES, by_name)) in able:
        return named
    fit = [name for name in able if columns[name].repeats and columns[name].average <= _MAX_NAME]
    fit = [name for name in fit if len(columns[name].values) > 1]
    return min(fit, key=lambda name: len(columns[name].values), default=None)


def _known_share(column: ColumnStats, knows: Callable[[str], bool]) -> float:
    return sum(rows for name, rows in column.values.items() if knows(name)) / column.filled


def _guess_query(
    free: Sequence[str],
    columns: Mapping[str, ColumnStats],
    by_name: Mapping[str, str],
    *,
    with_values: bool,
) -> str | None:
    """By its name, else the column with the longest texts."""
    named = next((by_name[name] for name in _QUERY_NAMES if by_name.get(name) in free), None)
    if named is not None or not with_values:
        return named
    able = [name for name in free if columns[name].plain and not columns[name].repeats]
    return max(able, key=lambda name: columns[name].average, default=None)
