"""Imports of files of labels in the control plane: made, listed and rolled back."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from functools import partial

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.controlplane.jobs.pacing import Pacer
from edgeneuro.controlplane.labels.dataset_import import FileLabel, read_file
from edgeneuro.controlplane.labels.import_rows import Row, RowFault, read_rows, stream_rows
from edgeneuro.controlplane.labels.import_text import FileStream, FileText, open_file
from edgeneuro.domain.dataset import DatasetImport, Import, ImportQuery
from edgeneuro.domain.fields import Page, PageQuery, page_of
from edgeneuro.errors import ConflictError, DatabaseError, NotFoundError, PermissionDeniedError
from edgeneuro.services import Services
from edgeneuro.store import imports as store
from edgeneuro.store.agents import list_agents
from edgeneuro.store.contexts import context_json
from edgeneuro.store.imports import StagedRow
from edgeneuro.synapsecore.stored_text import stored_context, stored_text
from edgeneuro.web.auth import Access
from edgeneuro.web.upload import Upload

# The labels of a file on their way in: staged part by part while the file is read, so that memory
# does not grow with it, and counted against what is in force.

# A part takes two of the 1,000 statements that D1 allows a request: 100 MB are some 350 parts.
_PART_BYTES = 300_000
_ROW_BYTES = 250  # of a row beside its query, about


class Staging:
    """Of one file. With `dry_run` the labels are counted and not staged. The counts are those of
    DatasetImport."""

    def __init__(
        self, services: Services, *, import_id: str, labeler: str, dry_run: bool, pacer: Pacer
    ) -> None:
        self._services = services
        self._import_id = import_id
        self._labeler = labeler
        self._dry_run = dry_run
        self._pacer = pacer
        self._rows: list[StagedRow] = []
        self._size = 0
        self.staged = 0  # rows that the database may hold
        self.labels = self.new = self.changed = self.outvoted = self.other_split = 0
        self._differing = 0

    @property
    def unchanged(self) -> int:
        return self.labels - self.new - self._differing

    async def add(self, label: FileLabel) -> None:
        hashes, context = label.hashes, context_json(label.previous)
        self._rows.append(
            StagedRow(
                place=label.place,
                query_hash=hashes.question,
                near_hash=hashes.near,
                query=label.query,
                agent_id=label.agent_id,
                split=label.split,
                origin=label.origin,
                similar_hash=hashes.similar,
                context=context,
                previous_hash=hashes.previous,
            )
        )
        self._size += len(label.query.encode()) + len((context or "").encode()) + _ROW_BYTES
        if self._size >= _PART_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Stages and counts what was added since the last time."""
        if not self._rows:
            return
        rows = json.dumps(self._rows, ensure_ascii=False, separators=(",", ":"))
        statements = [store.count_rows(rows, self._labeler)]
        if not self._dry_run:
            now_ms = self._services.now_ms()
            statements.append(store.stage_rows(self._import_id, rows, now_ms=now_ms))
            self.staged += len(self._rows)
        self._rows, self._size = [], 0
        found = (await self._services.db.batch(statements))[0][0]
        self.labels += found["labels"]
        self.new += found["new"]
        self._differing += found["differing"]
        self.changed += found["changed"]
        self.outvoted += found["differing"] - found["changed"]
        self.other_split += found["other_split"]
        await self._pacer.pause()

    async def discard(self) -> None:
        """What was staged is not to become labels."""
        if self.staged:
            await self._services.db.run(store.delete_staged(self._import_id))


MAX_FILE_BYTES = 100_000_000  # as many as Cloudflare takes on all its plans
MAX_TEXT_BYTES = 400_000_000  # once decompressed
MAX_HELD_BYTES = 8_000_000  # of a file that is not JSON Lines
_ALL_AGENTS = 1_000  # more than there can be


async def import_labels(call: Call, body: Upload, query: ImportQuery) -> DatasetImport:
    """Import labels from JSON Lines, a JSON array or CSV with the fields `query` and `agent`
    ("none" if no agent fits), or from an export. The turn before the query is the field `context`,
    the columns `previous_agent`, `previous_user` and `previous_assistant`, or is in `messages`, a
    conversation in place of `query`. Every line is checked before any is written, and all are
    written together. Files in UTF-8, UTF-16 and CP1252, gzip files and forms with one file are
    read; `encoding` says what the file was, `mapped` which names were matched to agents. The labels
    are votes of the caller: what an export says of labeler, source and time is stored as their
    `origin`, and its splits apply to questions that have none yet."""
    services = call.services
    agents = await list_agents(services.db, limit=_ALL_AGENTS, after=None)
    config = await services.routing.current()
    pacer = Pacer(services.sleep)
    import_id, labeler = services.new_id("imp"), call.credential.key_id
    staging = Staging(
        services, import_id=import_id, labeler=labeler, dry_run=query.dry_run, pacer=pacer
    )
    file = await open_file(body, max_held_bytes=MAX_HELD_BYTES, max_bytes=MAX_TEXT_BYTES)
    try:
        async with aclosing(_rows(file, query)) as rows:
            read = await read_file(
                rows,
                staging.add,
                agents=agents,
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
            duplicates=read.rows - staging.labels,
            split_kept=staging.other_split,
            encoding=file.encoding,
            mapped=read.mapped,
        )
        if writes:
            await commit(
                call,
                store.apply_rows(
                    import_id,
                    labeler=labeler,
                    now_ms=services.now_ms(),
                    rows=staging.staged,
                    report=report,
                ),
                action="import",
                resource="dataset",
                resource_id=import_id,
                after=report,
            )
            return report
    except BaseException:
        with suppress(DatabaseError):  # the cron deletes them in an hour
            await staging.discard()
        raise
    await staging.discard()
    return report


async def _rows(
    file: FileText | FileStream, query: ImportQuery
) -> AsyncGenerator[tuple[int, Row | RowFault], None]:
    if isinstance(file, FileText):
        for found in read_rows(file.text, query.format):
            yield found
        return
    async with aclosing(stream_rows(file.chunks)) as rows:
        async for found in rows:
            yield found


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
