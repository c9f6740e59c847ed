"""Imports of files of labels in the control plane: made, listed and rolled back."""

from contextlib import aclosing, suppress
from functools import partial

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.controlplane.jobs.pacing import Pacer
from edgeneuro.controlplane.labels.dataset_import import read_file
from edgeneuro.controlplane.labels.file_agents import AgentNames
from edgeneuro.controlplane.labels.import_columns import ColumnReader
from edgeneuro.controlplane.labels.import_rows import file_rows
from edgeneuro.controlplane.labels.import_staging import Staging
from edgeneuro.controlplane.labels.import_text import FileStream, FileText, open_file
from edgeneuro.controlplane.labels.new_agents import NewAgents, plan_agents
from edgeneuro.domain.agent import NO_AGENT, Agent
from edgeneuro.domain.dataset import DatasetImport, Import, ImportQuery
from edgeneuro.domain.fields import Page, PageQuery, page_of
from edgeneuro.domain.import_mapping import ImportMapping
from edgeneuro.errors import (
    ConflictError,
    DatabaseError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
)
from edgeneuro.store import imports as store
from edgeneuro.store.agents import list_agents
from edgeneuro.synapsecore.stored_text import stored_context, stored_text
from edgeneuro.web.auth import Access
from edgeneuro.web.handler import parse_body
from edgeneuro.web.upload import Upload

MAX_FILE_BYTES = 100_000_000  # as many as Cloudflare takes on all its plans
MAX_TEXT_BYTES = 400_000_000  # once decompressed
MAX_HELD_BYTES = 8_000_000  # of a file that is not JSON Lines
ALL_AGENTS = 1_000  # more than there can be


async def import_labels(call: Call, body: Upload, query: ImportQuery) -> DatasetImport:
    """Import labels from JSON Lines, a JSON array or CSV with the fields `query` and `agent`
    ("none" if no agent fits), or from an export. The turn before the query is the field `context`,
    the columns `previous_agent`, `previous_user` and `previous_assistant`, or is in `messages`, a
    conversation in place of `query`. Every line is checked before any is written, and all are
    written together. Files in UTF-8, UTF-16 and CP1252, gzip files and forms with one file are
    read; `encoding` says what the file was, `mapped` which names were matched to agents. The labels
    are votes of the caller: what an export says of labeler, source and time is stored as their
    `origin`, and its splits apply to questions that have none yet. In a form, the field `mapping`
    before the file names its columns, says which agents its names mean, which lines are left out
    and which agents are created together with the labels (this needs the scope admin)."""
    services = call.services
    file = await open_file(body, max_held_bytes=MAX_HELD_BYTES, max_bytes=MAX_TEXT_BYTES)
    mapping = read_mapping(file)
    _require_columns(mapping)
    agents = await list_agents(services.db, limit=ALL_AGENTS, after=None)
    created = await plan_agents(call, mapping.create, agents)
    _require_agents(mapping, [*agents, *created.agents])
    config = await services.routing.current()
    pacer = Pacer(services.sleep)
    import_id, labeler = services.new_id("imp"), call.credential.key_id
    staging = Staging(
        services, import_id=import_id, labeler=labeler, dry_run=query.dry_run, pacer=pacer
    )
    columns = mapping.columns
    required = None if columns is None else columns.chosen.values()
    try:
        async with aclosing(file_rows(file, query.format, required)) as rows:
            read = await read_file(
                rows,
                staging.add,
                names=AgentNames([*agents, *created.agents], mapping.agents, mapping.skip),
                columns=None if columns is None else ColumnReader(columns),
                stored=partial(stored_text, config),
                stored_turn=partial(stored_context, config),
                metadata=query.metadata == "keep",
                pacer=pacer,
            )
        await staging.flush()
        writes = staging.new + staging.changed + staging.outvoted > 0 and not query.dry_run
        report = DatasetImport(
            id=import_id if writes else None,
            dry_run=query.dry_run,
            rows=read.rows,
            labels=staging.labels,
            new=staging.new,
            changed=staging.changed,
            unchanged=staging.unchanged,
            outvoted=staging.outvoted,
            duplicates=read.rows - read.skipped - staging.labels,
            split_kept=staging.other_split,
            encoding=file.encoding,
            mapped=read.mapped,
            skipped=read.skipped,
            created=[agent.id for agent in created.agents],
        )
        if writes:
            await _write(call, import_id, staging, report, created)
            return report
        if created.agents and not query.dry_run:
            await created.commit(call)
    except BaseException:
        with suppress(DatabaseError):  # the cron deletes them in an hour
            await staging.discard()
        raise
    await staging.discard()
    return report


async def _write(
    call: Call, import_id: str, staging: Staging, report: DatasetImport, created: NewAgents
) -> None:
    labels = store.apply_rows(
        import_id,
        labeler=call.credential.key_id,
        now_ms=call.services.now_ms(),
        rows=staging.staged,
        report=report,
    )
    async with created.still_new(call):
        await commit(
            call,
            [*created.statements, *labels],
            action="import",
            resource="dataset",
            resource_id=import_id,
            after=report,
        )


def read_mapping(file: FileText | FileStream) -> ImportMapping:
    """What the form says of its file. Raises InvalidRequestError."""
    if file.mapping is None:
        return ImportMapping()
    found = parse_body(ImportMapping, file.mapping)
    assert isinstance(found, ImportMapping)
    return found


def _require_columns(mapping: ImportMapping) -> None:
    columns = mapping.columns
    if columns is None:
        return
    if columns.agent is None or columns.query is columns.messages is None:
        field = "agent" if columns.agent is None else "query"
        raise InvalidRequestError(
            f"columns.{field}: an import needs the column of `agent`, and that of `query` or"
            " `messages`; name it.",
            code="column_missing",
            param=f"columns.{field}",
        )


def _require_agents(mapping: ImportMapping, agents: list[Agent]) -> None:
    known = {NO_AGENT, *(agent.id for agent in agents)}
    for name, agent_id in mapping.agents.items():
        if agent_id not in known:
            raise InvalidRequestError(
                f"agents.{name}: there is no agent {agent_id[:100]!r}. GET /v1/agents lists them;"
                " `create` has those that the import creates.",
                code="unknown_agent",
                param=f"agents.{name}",
            )


async def list_imports(call: Call, query: PageQuery) -> Page[Import]:
    """List the imports that wrote labels, newest first."""
    found = await store.list_imports(call.services.db, limit=query.limit + 1, after=query.after)
    return page_of(found, limit=query.limit)


async def get_import(call: Call, import_id: str) -> Import:
    """Read an import: what it wrote, and whether it was rolled back."""
    found = await store.find_import(call.services.db, import_id)
    if found is None:
        raise NotFoundError(
            f"There is no import {import_id[:100]!r}. GET /v1/datasets/imports lists those that"
            " wrote labels.",
            code="unknown_import",
            param="import_id",
        )
    return found


async def roll_back(call: Call, import_id: str) -> Import:
    """Roll an import back: all its labels are removed, and the remaining votes decide each
    question. The history keeps the labels, and the questions keep their splits. Rolling back an
    import of somebody else needs the scope admin."""
    before = await get_import(call, import_id)
    own = before.created_by == call.credential.key_id
    if not own and Access.ADMIN not in call.credential.scopes:
        raise PermissionDeniedError(
            "import_id: this import is not yours; to roll it back needs the scope 'admin'.",
            param="import_id",
        )
    rows = await commit(
        call,
        store.roll_back(import_id, now_ms=call.services.now_ms(), by=call.credential.key_id),
        action="roll_back",
        resource="dataset",
        resource_id=import_id,
        before=before,
    )
    if not rows:
        raise ConflictError(
            "This import was rolled back before.", code="rolled_back", param="import_id"
        )
    return store.import_from_row(rows[0])
