"""Which log rows a list of logs shows. No request looks at more than WINDOW_ROWS rows: where rows
that fit are rare, the answer says how far it has looked, and the next page continues from there."""

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from edgeneuro.domain.log import LogsQuery, is_unspaced, search_words
from edgeneuro.domain.router_names import DEFAULT_ROUTER
from edgeneuro.store.database import Database, Row, Rows, Value, statement
from edgeneuro.store.signals import MISROUTED
from edgeneuro.store.sql import LOG_KIND, LOG_OUTCOME, Conditions, unix_ms

WINDOW_ROWS = 20_000
_TRIGRAM = 3  # shorter texts have none
# Rows from before migration 0025 have it in another column, whose CHECK knows no decision models: a
# CHECK cannot be changed without rewriting the table.
CONFIDENCE_SOURCE = "coalesce(logs.confidence_source, logs.confidence_source_before)"
_KNOWN = f"coalesce({CONFIDENCE_SOURCE}, '') <> 'none'"  # the confidence


@dataclass(frozen=True)
class LogPosition:
    """A place in the order of the log rows: that of the row `id`, which may be deleted since."""

    id: str
    created_ms: int
    seq: int


@dataclass(frozen=True)
class FoundRows:
    """`searched_to` (`id`, `created_at`, `seq`) is the last row that was looked at, if there may be
    older ones that fit."""

    rows: Rows
    searched_to: Row | None


class LogSearch:
    """One list of logs. `columns` are selected from `logs` and `label`, a join that calls the label
    in force `c`. It looks at `window` rows at most; those after `position` are older."""

    def __init__(
        self,
        db: Database,
        query: LogsQuery,
        *,
        columns: str,
        label: str,
        position: LogPosition | None = None,
        window: int = WINDOW_ROWS,
    ) -> None:
        self._db = db
        self._query = query
        self._columns = columns
        self._label = label
        self._position = position
        self._window = window

    async def run(self, *, limit: int) -> FoundRows:
        """The first `limit` rows, newest first."""
        if self._query.q is not None:
            return await self._by_text(search_words(self._query.q), limit)
        return await self._by_time(limit)

    async def _by_time(self, limit: int) -> FoundRows:
        in_order, filters = _in_order(self._query, self._position), _filters(self._query)
        edge = None
        if not filters.is_empty:
            found = await self._db.run(
                statement(
                    f"SELECT id, created_at, seq FROM logs WHERE {in_order.sql}"
                    " ORDER BY created_at DESC, seq DESC LIMIT 1 OFFSET ?",
                    *in_order.values,
                    self._window - 1,
                )
            )
            edge = found[0] if found else None
        if edge is not None:
            in_order.add("logs.created_at >= ?", edge["created_at"])
            in_order.add("(logs.created_at, logs.seq) >= (?, ?)", edge["created_at"], edge["seq"])
        rows = await self._db.run(
            statement(
                f"SELECT {self._columns} FROM logs {self._label}"
                f" WHERE {in_order.sql} AND {filters.sql}"
                " ORDER BY logs.created_at DESC, logs.seq DESC LIMIT ?",
                *in_order.values,
                *filters.values,
                limit,
            )
        )
        return FoundRows(rows, edge if len(rows) < limit else None)

    async def _by_text(self, words: Sequence[str], limit: int) -> FoundRows:
        """In the order in which rows were written, as the full text indexes have it."""
        filters = _filters(self._query)
        filters.add_all(_times(self._query))
        filters.add_all(_named(self._query))
        bounds = Conditions()
        if self._position is not None:
            bounds.add("rowid < ?", self._position.seq)
        elif self._query.after is not None:
            bounds.add("rowid < (SELECT seq FROM logs WHERE id = ?)", self._query.after)
        unindexed = _unindexed(words)
        edge = None if unindexed is None else await self._edge(*self._oldest(unindexed, bounds))
        if edge is not None:
            bounds.add("rowid >= ?", edge["seq"])
        matches, values = _matches(words, unindexed, bounds)
        # If every match fits, no more of them are needed than rows.
        most = limit if filters.is_empty else self._window
        rows = await self._db.run(
            statement(
                f"SELECT {self._columns} FROM ({matches} LIMIT ?) AS match"
                f" CROSS JOIN logs ON logs.seq = match.seq {self._label} WHERE {filters.sql}"
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


def _in_order(query: LogsQuery, position: LogPosition | None) -> Conditions:
    """What indexes by time can follow."""
    wanted = _named(query)
    if position is not None:
        # The first of both is what an index can follow.
        wanted.add("logs.created_at <= ?", position.created_ms)
        wanted.add("(logs.created_at, logs.seq) < (?, ?)", position.created_ms, position.seq)
    elif query.after is not None:
        # A row that retention has deleted since has nothing older behind it: the page is empty.
        wanted.add("logs.created_at <= (SELECT created_at FROM logs WHERE id = ?)", query.after)
        wanted.add(
            "(logs.created_at, logs.seq) < (SELECT created_at, seq FROM logs WHERE id = ?)",
            query.after,
        )
    wanted.add_all(_times(query))
    return wanted


def _times(query: LogsQuery) -> Conditions:
    wanted = Conditions()
    if query.since is not None:
        wanted.add("logs.created_at >= ?", unix_ms(query.since))
    if query.to is not None:
        wanted.add("logs.created_at < ?", unix_ms(query.to))
    return wanted


def _named(query: LogsQuery) -> Conditions:
    """By user and session, which have indexes."""
    wanted = Conditions()
    if query.user is not None:
        wanted.add("logs.user = ?", query.user)
    if query.session is not None:
        wanted.add("logs.session = ?", query.session)
    return wanted


def _filters(query: LogsQuery) -> Conditions:
    """The conditions that need the rows themselves."""
    wanted = Conditions()
    equal = {
        "agent_id": query.agent,
        "layer": query.layer,
        "reason": query.reason,
        "key_id": query.key,
    }
    for column, value in equal.items():
        if value is not None:
            wanted.add(f"logs.{column} = ?", value)
    if query.router is not None:
        named = None if query.router == DEFAULT_ROUTER else query.router
        wanted.add("logs.router IS ?", named)
    if query.kind is not None:
        wanted.add(f"{LOG_KIND} = ?", query.kind)
    if query.outcome is not None:
        wanted.add(f"{LOG_OUTCOME} = ?", query.outcome)
    if query.model is not None:
        wanted.add("(logs.model = ? OR logs.adapter = ?)", query.model, query.model)
    if query.labelled is not None:
        wanted.add(f"c.query_hash IS {'NOT ' if query.labelled == 'true' else ''}NULL")
    if query.misrouted is not None:
        wanted.add(f"{'' if query.misrouted == 'true' else 'NOT '}{MISROUTED}")
    if query.min_confidence is not None:
        wanted.add(f"logs.confidence >= ? AND {_KNOWN}", query.min_confidence)
    if query.max_confidence is not None:
        wanted.add(f"logs.confidence <= ? AND {_KNOWN}", query.max_confidence)
    for key, value in (query.metadata or {}).items():
        wanted.add(
            "EXISTS (SELECT 1 FROM json_each(logs.metadata) AS fact WHERE fact.key = ? AND iif("
            "fact.type IN ('true', 'false'), fact.type, CAST(fact.value AS TEXT)) = ?)",
            key,
            value,
        )
    return wanted
