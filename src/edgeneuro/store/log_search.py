"""Which log rows a list of logs shows. No request looks at more than WINDOW_ROWS rows: where rows
that fit are rare, the answer says how far it has looked, and the next page continues from there."""

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from edgeneuro.domain.log import LogsFilter, is_unspaced, search_words
from edgeneuro.store.database import Database, Row, Rows, Value, statement
from edgeneuro.store.log_filters import LABEL, LogPosition, facts, in_order, named, times
from edgeneuro.store.sql import Conditions

WINDOW_ROWS = 20_000
_TRIGRAM = 3  # shorter texts have none


@dataclass(frozen=True)
class FoundRows:
    """`searched_to` (`id`, `created_at`, `seq`) is the last row that was looked at, if there may be
    older ones that fit."""

    rows: Rows
    searched_to: Row | None


@dataclass(frozen=True)
class LogSource:
    """All rows of a list that are looked at, as what follows FROM. `edge` is the last of them, if
    there may be older ones that fit."""

    sql: str
    values: Sequence[Value]
    edge: Row | None


class LogSearch:
    """One list of logs. It looks at `window` rows at most. Those after the row with the id `after`,
    or after `position`, are older; with `written_after` all were written after that row."""

    def __init__(
        self,
        db: Database,
        query: LogsFilter,
        *,
        after: str | None = None,
        position: LogPosition | None = None,
        written_after: str | None = None,
        window: int = WINDOW_ROWS,
    ) -> None:
        self._db = db
        self._query = query
        self._after = after
        self._position = position
        self._written_after = written_after
        self._window = window

    async def run(self, columns: str, *, limit: int) -> FoundRows:
        """The first `limit` rows, newest first. `columns` are selected from `logs` and `c`, the
        label in force."""
        if self._query.q is None and self._written_after is None:
            return await self._by_time(columns, limit)
        return await self._as_written(columns, limit)

    async def source(self) -> LogSource:
        query = self._query
        label = "" if query.labelled is None and query.label is None else LABEL
        if self._query.q is None:
            ordered, edge = await self._ordered()
            ordered.add_all(facts(self._query))
            return LogSource(f"logs {label} WHERE {ordered.sql}", ordered.values, edge)
        filters = self._unordered()
        matches, values, edge = await self._matched()
        if edge is None:
            edge = await self._edge(f"{matches} LIMIT 1 OFFSET {self._window - 1}", values)
        return LogSource(
            f"({matches} LIMIT ?) AS match CROSS JOIN logs ON logs.seq = match.seq {label}"
            f" WHERE {filters.sql}",
            (*values, self._window, *filters.values),
            edge,
        )

    async def _by_time(self, columns: str, limit: int) -> FoundRows:
        filters = facts(self._query)
        if filters.is_empty:
            ordered, edge = self._by_time_alone(), None
        else:
            ordered, edge = await self._ordered()
        rows = await self._db.run(
            statement(
                f"SELECT {columns} FROM logs {LABEL}"
                f" WHERE {ordered.sql} AND {filters.sql}"
                " ORDER BY logs.created_at DESC, logs.seq DESC LIMIT ?",
                *ordered.values,
                *filters.values,
                limit,
            )
        )
        return FoundRows(rows, edge if len(rows) < limit else None)

    def _by_time_alone(self) -> Conditions:
        return in_order(self._query, position=self._position, after=self._after)

    async def _ordered(self) -> tuple[Conditions, Row | None]:
        """The window's rows in the order of time, and the last of them if there are older ones."""
        ordered = self._by_time_alone()
        found = await self._db.run(
            statement(
                f"SELECT id, created_at, seq FROM logs WHERE {ordered.sql}"
                " ORDER BY created_at DESC, seq DESC LIMIT 1 OFFSET ?",
                *ordered.values,
                self._window - 1,
            )
        )
        if not found:
            return ordered, None
        edge = found[0]
        ordered.add("logs.created_at >= ?", edge["created_at"])
        ordered.add("(logs.created_at, logs.seq) >= (?, ?)", edge["created_at"], edge["seq"])
        return ordered, edge

    async def _as_written(self, columns: str, limit: int) -> FoundRows:
        """In the order in which rows were written, as the full text indexes have it."""
        filters = self._unordered()
        matches, values, edge = await self._matched()
        # If every match fits, no more of them are needed than rows.
        most = limit if filters.is_empty else self._window
        rows = await self._db.run(
            statement(
                f"SELECT {columns} FROM ({matches} LIMIT ?) AS match"
                f" CROSS JOIN logs ON logs.seq = match.seq {LABEL} WHERE {filters.sql}"
                " ORDER BY match.seq DESC LIMIT ?",
                *values,
                most,
                *filters.values,
                limit,
            )
        )
        if len(rows) >= limit:
            return FoundRows(rows, None)
        if edge is None and not filters.is_empty:
            edge = await self._edge(f"{matches} LIMIT 1 OFFSET {most - 1}", values)
        return FoundRows(rows, edge)

    def _unordered(self) -> Conditions:
        filters = facts(self._query)
        filters.add_all(times(self._query))
        filters.add_all(named(self._query))
        return filters

    async def _matched(self) -> tuple[str, list[Value], Row | None]:
        """A query for the `seq` of the rows that hold all words and were written in time, the
        newest first; the third is the last one that is looked at, where no index has the words."""
        bounds = Conditions()
        if self._position is not None:
            bounds.add("rowid < ?", self._position.seq)
        elif self._after is not None:
            bounds.add("rowid < (SELECT seq FROM logs WHERE id = ?)", self._after)
        if self._written_after is not None:
            bounds.add("rowid > (SELECT seq FROM logs WHERE id = ?)", self._written_after)
        if self._query.q is None:
            sql = f"SELECT rowid AS seq FROM logs WHERE {bounds.sql} ORDER BY rowid DESC"
            return sql, bounds.values, None
        words = search_words(self._query.q)
        unindexed = _unindexed(words)
        edge = None if unindexed is None else await self._edge(*self._oldest(unindexed, bounds))
        if edge is not None:
            bounds.add("rowid >= ?", edge["seq"])
        return *_matches(words, unindexed, bounds), edge

    def _oldest(self, unindexed: "_Unindexed", bounds: Conditions) -> tuple[str, list[Value]]:
        """The last row that is read, if there are older ones."""
        wanted = Conditions()
        wanted.add_all(unindexed.match)
        wanted.add_all(bounds)
        return (
            f"SELECT rowid FROM {unindexed.source} WHERE {wanted.sql}"
            f" ORDER BY rowid DESC LIMIT 1 OFFSET {self._window - 1}",
            wanted.values,
        )

    async def _edge(self, seq: str, values: Sequence[Value]) -> Row | None:
        found = await self._db.run(
            statement(f"SELECT id, created_at, seq FROM logs WHERE seq = ({seq})", *values)
        )
        return found[0] if found else None


@dataclass(frozen=True)
class _Unindexed:
    """Rows of which each text is read, since no index has the short words. `patterns` are what
    GLOB finds in them."""

    source: str
    match: Conditions
    patterns: Sequence[str]


def _unindexed(words: Sequence[str]) -> _Unindexed | None:
    short = dict.fromkeys(word for word in words if len(word) < _TRIGRAM)
    if not short:
        return None
    match = Conditions()
    longer = [word for word in words if len(word) >= _TRIGRAM]
    if longer:
        match.add("logs_trigrams MATCH ?", _parts(longer))
    source = "logs_trigrams" if longer else "logs"
    return _Unindexed(source, match, [_pattern(word) for word in short])


def _pattern(word: str) -> str:
    """Of a short word: where blanks stand between words, it is a whole one."""
    letters = "".join(each for each in word.lower() if each.isalnum())
    return f"*{letters}*" if is_unspaced(word) else f"*[^a-z0-9]{letters}[^a-z0-9]*"


def _matches(
    words: Sequence[str], unindexed: _Unindexed | None, bounds: Conditions
) -> tuple[str, list[Value]]:
    """A query for the `seq` of the rows that hold all words, the newest first: as words (logs_fts
    has older rows, and those with letters beyond ASCII), or as parts of words and of sentences
    without blanks. Words that are too short for trigrams are looked for in the texts."""
    arms = [_arm("logs_fts", _quoted(words), bounds)]
    if unindexed is not None:
        wanted = Conditions()
        wanted.add_all(unindexed.match)
        wanted.add_all(bounds)
        # One value, however many words there are: D1 binds 100 values.
        wanted.add(
            "NOT EXISTS (SELECT 1 FROM json_each(?) AS short"
            " WHERE NOT ' ' || lower(query) || ' ' GLOB short.value)",
            json.dumps(unindexed.patterns),
        )
        sql = f"SELECT rowid AS seq FROM {unindexed.source} WHERE {wanted.sql}"
        arms.append((sql, wanted.values))
    else:
        arms.append(_arm("logs_trigrams", _parts(words), bounds))
    return (
        f"{' UNION '.join(sql for sql, _ in arms)} ORDER BY 1 DESC",
        [value for _, values in arms for value in values],
    )


def _arm(index: str, text: str, bounds: Conditions) -> tuple[str, list[Value]]:
    wanted = Conditions()
    wanted.add(f"{index} MATCH ?", text)
    wanted.add_all(bounds)
    return f"SELECT rowid AS seq FROM {index} WHERE {wanted.sql}", wanted.values


def _quoted(words: Sequence[str]) -> str:
    """As strings of the index's language, words are nothing but words."""
    return " ".join('"' + word.replace('"', '""') + '"' for word in words)


def _parts(words: Sequence[str]) -> str:
    """The same for trigrams, also without the diacritics of the words."""
    spellings = (dict.fromkeys((word, _without_diacritics(word))) for word in words)
    return " AND ".join(
        f"({' OR '.join(_quoted([each]) for each in group)})" for group in spellings
    )


def _without_diacritics(word: str) -> str:
    parts = unicodedata.normalize("NFD", word)
    return "".join(each for each in parts if not unicodedata.combining(each))
