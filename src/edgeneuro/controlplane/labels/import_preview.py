"""What a file of labels has, before it is imported: its columns with sample values, what they are
taken for, and what it calls agents."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from edgeneuro.call import Call
from edgeneuro.controlplane.jobs.pacing import Pacer
from edgeneuro.controlplane.labels.dataset_import import require_few
from edgeneuro.controlplane.labels.file_agents import AgentNames, Suggestions, next_names
from edgeneuro.controlplane.labels.import_columns import (
    ColumnReader,
    ColumnStats,
    column_stats,
    guess_columns,
    writable,
)
from edgeneuro.controlplane.labels.import_question import (
    is_exported,
    read_agent,
    read_question,
    require_writable,
)
from edgeneuro.controlplane.labels.import_rows import Row, RowFault, file_rows
from edgeneuro.controlplane.labels.import_text import open_file
from edgeneuro.controlplane.labels.imports import (
    ALL_AGENTS,
    MAX_HELD_BYTES,
    MAX_TEXT_BYTES,
    read_mapping,
)
from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.import_mapping import (
    MAX_NAME_CHARACTERS,
    FileColumn,
    ImportColumns,
    ImportPreview,
    NamedAgent,
    PreviewError,
    PreviewQuery,
)
from edgeneuro.errors import InvalidRequestError
from edgeneuro.store.agents import list_agents
from edgeneuro.web.upload import Upload

_FIRST_ROWS = 1_000  # that columns are shown and guessed by
_MAX_COUNTED = 10_000  # names of agents; a file with more has another column for them
_MAX_SHOWN = 250
_MAX_ERRORS = 100
_MAX_SAMPLES = 3
_SAMPLE_CHARACTERS = 200

Rows = AsyncIterator[tuple[int, Row | RowFault]]


async def preview_import(call: Call, body: Upload, query: PreviewQuery) -> ImportPreview:
    """Read what a file of labels has, whatever its columns are called, and write nothing: the
    columns with sample values, what they are taken for (guessed, or as the form's field `mapping`
    says in `columns`), and by name the agents with their lines. An import with a mapping made from
    it follows."""
    services = call.services
    agents = await list_agents(services.db, limit=ALL_AGENTS, after=None)
    names = AgentNames(agents)
    file = await open_file(body, max_held_bytes=MAX_HELD_BYTES, max_bytes=MAX_TEXT_BYTES)
    mapping = read_mapping(file)
    async with aclosing(file_rows(file, query.format, columns=())) as rows:
        first = await _first_rows(rows)
        stats = column_stats(row for _, row in first if not isinstance(row, RowFault))
        chosen = mapping.columns or _guess(first, stats, names)
        found = await _read(_all_rows(first, rows), chosen, names, Pacer(services.sleep))
    shown = next_names({name: each.rows for name, each in found.agents.items()}, _MAX_SHOWN)
    suggestions = Suggestions(agent.id for agent in agents)
    return ImportPreview(
        encoding=file.encoding,
        rows=found.rows,
        columns=[FileColumn(name=name, samples=each.samples) for name, each in stats.items()],
        chosen=chosen,
        agents=[_named(name, found.agents[name], names, suggestions) for name in shown],
        agent_names=len(found.agents),
        errors=found.errors,
        error_count=found.error_count,
    )


async def _first_rows(rows: Rows) -> list[tuple[int, Row | RowFault]]:
    first = []
    async for row in rows:
        first.append(row)
        if len(first) == _FIRST_ROWS:
            break
    if not first:
        raise InvalidRequestError("The file has no lines; send some.", code="empty_file")
    return first


async def _all_rows(
    first: list[tuple[int, Row | RowFault]], rest: Rows
) -> AsyncGenerator[tuple[int, Row | RowFault], None]:
    for row in first:
        yield row
    async for row in rest:
        yield row


def _guess(
    first: list[tuple[int, Row | RowFault]], stats: dict[str, ColumnStats], names: AgentNames
) -> ImportColumns | None:
    """None for an export in a shape for trainers: what its lines say is not in columns."""
    rows = [row for _, row in first if not isinstance(row, RowFault)]
    if rows and all(is_exported(row) and _names_agent(row) for row in rows):
        return None
    return guess_columns(stats, lambda text: names.find(text) is not None)


def _names_agent(row: Row) -> bool:
    try:
        read_agent(row)
    except RowFault:
        return False
    return True


@dataclass
class _Named:
    """What the file has of one name."""

    rows: int = 0
    samples: list[str] = field(default_factory=list)
    description: str | None = None


@dataclass
class _Found:
    rows: int = 0
    agents: dict[str, _Named] = field(default_factory=dict)
    errors: list[PreviewError] = field(default_factory=list)
    error_count: int = 0


async def _read(
    rows: Rows,
    chosen: ImportColumns | None,
    names: AgentNames,
    pacer: Pacer,
) -> _Found:
    reader = None if chosen is None else ColumnReader(chosen)
    described = None if chosen is None else chosen.agent_description
    found = _Found()
    async for line, row in rows:
        found.rows += 1
        require_few(found.rows)
        try:
            if isinstance(row, RowFault):
                raise row
            if reader is None or (chosen is not None and chosen.agent is not None):
                mapped = row if reader is None else reader.read(row)
                description = None if described is None else row.get(described)
                _count(found.agents, mapped, description, names)
        except RowFault as fault:
            found.error_count += 1
            if len(found.errors) < _MAX_ERRORS:
                found.errors.append(
                    PreviewError(line=line, param=fault.param, message=fault.message)
                )
        await pacer.spend(0)
    return found


def _count(agents: dict[str, _Named], row: Row, description: Any, names: AgentNames) -> None:
    """Counts a row for the name of its agent. Raises RowFault for what cannot be a name."""
    param, agent = read_agent(row)
    if agent is None:
        agent = NO_AGENT
    if not isinstance(agent, str):
        raise RowFault(param, f"{param}: this is not a text")
    agent = agent.strip()
    if len(agent) > MAX_NAME_CHARACTERS:
        raise RowFault(
            param, f"{param}: a name of an agent has at most {MAX_NAME_CHARACTERS} characters"
        )
    require_writable(param, agent)
    named = agents.get(agent)
    if named is None:
        if len(agents) == _MAX_COUNTED:
            return
        named = agents[agent] = _Named()
    named.rows += 1
    if named.description is None and isinstance(description, str) and description.strip():
        named.description = writable(description.strip())
    if len(named.samples) < _MAX_SAMPLES:
        sample = _query_of(row, names)
        if sample and sample not in named.samples:
            named.samples.append(sample)


def _query_of(row: Row, names: AgentNames) -> str | None:
    try:
        query = read_question(row, names.find).query
    except RowFault:
        return None  # the import says what is wrong
    return writable(query.strip()[:_SAMPLE_CHARACTERS]) if isinstance(query, str) else None


def _named(name: str, found: _Named, names: AgentNames, suggestions: Suggestions) -> NamedAgent:
    known = names.find(name)
    similar = names.similar(name) if known is None else None
    return NamedAgent(
        name=name,
        rows=found.rows,
        samples=found.samples,
        agent_id=known,
        similar=similar,
        suggested=None if known else suggestions.suggest(name, found.description),
    )
