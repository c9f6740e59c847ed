"""The job that clusters the queries that no agent fits: it draws them, founds groups in one pass
over them, settles the groups in some rounds, and stores the clusters with their names. A slice does
as many passes as fit, at least one; between slices the checkpoint has the group of each query and
no text."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel

from edgeneuro.classifier.alike import LIKENESS, Comparable, Space, comparable
from edgeneuro.classifier.cluster_names import cluster_names, name_words
from edgeneuro.classifier.clusters import (
    ALONE,
    ROUNDS,
    FirstGroups,
    GroupSums,
    SettledGroups,
    clusters_of,
)
from edgeneuro.classifier.features import tokens
from edgeneuro.classifier.vectors import VectorTable
from edgeneuro.controlplane.jobs.pacing import Pacer
from edgeneuro.controlplane.jobs.runner import Lease, SliceOutcome
from edgeneuro.domain.job import JobKindName
from edgeneuro.domain.unmatched import CLUSTER_PREFIX, MAX_DAYS, MIN_QUERIES
from edgeneuro.services import Services
from edgeneuro.store import unmatched as store
from edgeneuro.store.database import Row, Statement
from edgeneuro.store.jobs import MAX_FAILURES, clear_checkpoint, error_text
from edgeneuro.synapsecore.stored_text import redact

MAX_QUERIES = 5_000  # different ones, the newest
# Of a pass, queries: some 10 s of CPU time in workerd.
_QUERIES_A_SLICE = 6_000
_TEXTS_A_READ = 500
_MAX_ATTEMPTS = 3  # each with half as many queries as the one before
# A reply in a conversation says too little without the turn before it.
_MIN_WORDS_IN_CONTEXT = 4
_WORK = 3_000  # with one query beside its text, as the Pacer counts it: about 2 ms
_DAY_MS = 86_400_000


class ClusteringCheckpoint(BaseModel):
    """The drawn log rows by `seq`, how often each was asked, and its group within its space after
    so many `passes`."""

    rows: list[int] = []
    times: list[int] = []
    groups: list[int] = []
    passes: int = 0


@dataclass(frozen=True, kw_only=True)
class ClusteringKind:
    name: JobKindName = "clustering"
    event: str = "clustering"
    resource: str = "clustering"
    lease_ms: int = 120_000
    slices_per_run: int = 1  # one takes most of the CPU time that a run of the cron has
    max_attempts: int = _MAX_ATTEMPTS
    max_failures: int = MAX_FAILURES

    async def run_slice(self, lease: Lease) -> SliceOutcome:
        checkpoint = ClusteringCheckpoint.model_validate_json(lease.job.checkpoint)
        services, clustering_id = lease.services, lease.job.resource_id
        if not checkpoint.rows:
            config = await services.routing.current()
            days = min(MAX_DAYS, config.retention_days)
            drawn = await store.draw_queries(
                services.db,
                clustering_id,
                since_ms=services.now_ms() - days * _DAY_MS,
                limit=MAX_QUERIES >> (lease.job.attempts - 1),
            )
            if not drawn:
                stored = store.store_clusters(clustering_id, [], queries=0)
                return SliceOutcome(state="succeeded", statements=[*stored], done=1, total=1)
            checkpoint.rows = [seq for seq, _ in drawn]
            checkpoint.times = [times for _, times in drawn]
            checkpoint.groups = [ALONE] * len(drawn)
        texts = await _Texts.read(services, checkpoint)
        left = max(1, _QUERIES_A_SLICE // len(checkpoint.rows))
        while checkpoint.passes <= ROUNDS and left:
            await texts.run_pass(checkpoint)
            checkpoint.passes += 1
            left -= 1
        total = ROUNDS + 1
        if checkpoint.passes <= ROUNDS:
            return SliceOutcome(
                checkpoint=checkpoint.model_dump_json(), done=checkpoint.passes, total=total
            )
        found = texts.clusters(checkpoint)
        stored = store.store_clusters(clustering_id, found, queries=len(checkpoint.rows))
        return SliceOutcome(
            state="succeeded", statements=[*stored], checkpoint="{}", done=total, total=total
        )

    async def exhausted(self, lease: Lease) -> SliceOutcome:
        message = "The slices were begun again and again and none ended. Start another clustering"
        return SliceOutcome(
            state="failed", checkpoint="{}", error=error_text("clustering_failed", message)
        )

    def clean_up(self, resource_id: str) -> Sequence[Statement]:
        return [clear_checkpoint(resource_id)]


@dataclass
class _Texts:
    """What is known of the drawn queries in this slice. One whose row was erased or labelled since,
    or that says too little, has no vector and stays alone."""

    services: Services
    pacer: Pacer
    rows: list[Row | None] = field(default_factory=list)
    vectors: list[Comparable | None] = field(default_factory=list)

    @classmethod
    async def read(cls, services: Services, checkpoint: ClusteringCheckpoint) -> "_Texts":
        found = cls(services, Pacer(services.sleep))
        table = services.word_vectors()
        for at in range(0, len(checkpoint.rows), _TEXTS_A_READ):
            places = checkpoint.rows[at : at + _TEXTS_A_READ]
            by_place = {row["seq"]: row for row in await store.read_texts(services.db, places)}
            for place in places:
                row = by_place.get(place)
                found.rows.append(row)
                found.vectors.append(None if row is None else _vector(row, table))
                await found.pacer.spend(0 if row is None else len(row["query"]))
        return found

    async def run_pass(self, checkpoint: ClusteringCheckpoint) -> None:
        for space, likeness in LIKENESS.items():
            places: FirstGroups | SettledGroups
            if checkpoint.passes == 0:
                places = FirstGroups(likeness)
            else:
                sums = GroupSums()
                for at, vector in self._of(space):
                    sums.add(vector, checkpoint.groups[at])
                    await self.pacer.spend(0)
                places = SettledGroups(sums, likeness, smallest=MIN_QUERIES)
            for at, vector in self._of(space):
                checkpoint.groups[at] = places.place(vector)
                await self.pacer.spend(_WORK)
        for at, each in enumerate(self.vectors):
            if each is None:
                checkpoint.groups[at] = ALONE

    def clusters(self, checkpoint: ClusteringCheckpoint) -> list[store.FoundCluster]:
        clusters: list[list[int]] = []
        for space in LIKENESS:
            own = list(self._of(space))
            groups = [checkpoint.groups[at] for at, _ in own]
            members = clusters_of([vector for _, vector in own], groups, smallest=MIN_QUERIES)
            clusters += [[own[at][0] for at in each] for each in members]
        clusters.sort(key=lambda each: -len(each))
        words = [[] if row is None else name_words(redact(row["query"])) for row in self.rows]
        return [
            store.FoundCluster(
                self.services.new_id(CLUSTER_PREFIX),
                name,
                [self._item(at, checkpoint.times[at]) for at in each],
            )
            for name, each in zip(cluster_names(clusters, words), clusters, strict=True)
        ]

    def _item(self, at: int, times: int) -> tuple[str, str, int]:
        row = self.rows[at]
        assert row is not None  # it is in a cluster
        return row["id"], row["near_hash"], times

    def _of(self, space: Space) -> list[tuple[int, bytes]]:
        return [
            (at, each.vector)
            for at, each in enumerate(self.vectors)
            if each is not None and each.space == space
        ]


def _vector(row: Row, table: VectorTable | None) -> Comparable | None:
    query = row["query"]
    if row["in_context"] and len(tokens(query)) < _MIN_WORDS_IN_CONTEXT:
        return None
    return comparable(query, table)
