"""The labels of a file on their way in: staged part by part while the file is read, so that memory
does not grow with it, and counted against what is in force."""

import json

from edgeneuro.controlplane.jobs.pacing import Pacer
from edgeneuro.controlplane.labels.dataset_import import FileLabel
from edgeneuro.services import Services
from edgeneuro.store import imports as store
from edgeneuro.store.contexts import context_json
from edgeneuro.store.imports import StagedRow

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
