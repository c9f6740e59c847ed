"""The job that trains the second classifier of a classifier, from the same examples. First it makes
the vectors that are missing, in batches, and keeps them for the next training; then it trains in
slices as controlplane/jobs/training.py does.

It follows a training that has succeeded, if the setting `embedding_model` names a model."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgeneuro.classifier.agent_texts import agent_texts
from edgeneuro.classifier.embedding import with_embeddings
from edgeneuro.classifier.examples import Examples
from edgeneuro.classifier.model import dumps
from edgeneuro.classifier.plan import Plan
from edgeneuro.classifier.training import Training
from edgeneuro.controlplane.jobs.pacing import STEP_COST, visit_cost
from edgeneuro.controlplane.jobs.runner import Lease, SliceOutcome
from edgeneuro.controlplane.learning.traffic import decisions_by_agent, known_mix
from edgeneuro.domain.catalogue import find_model
from edgeneuro.domain.classifier import Classifier
from edgeneuro.domain.embedding import (
    ID_PREFIX,
    MAX_VECTOR_BYTES,
    MIN_SHARE_OF_VECTORS,
    EmbeddingClassifier,
)
from edgeneuro.domain.job import JobKindName
from edgeneuro.domain.model import Model
from edgeneuro.domain.query import query_hash
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import UpstreamNotConfiguredError, UpstreamRejectedError
from edgeneuro.services import Services
from edgeneuro.store import embedding_classifiers as store
from edgeneuro.store.database import Statement
from edgeneuro.store.jobs import MAX_FAILURES, error_text
from edgeneuro.store.label_vectors import find_texts, find_vectors, note_use, store_vectors
from edgeneuro.store.parts import EMBEDDING_PARTS
from edgeneuro.store.trainings import read_training
from edgeneuro.synapsecore.decision_log import count_model_call
from edgeneuro.synapsecore.embedding_call import embed
from edgeneuro.synapsecore.rankers.embedding import MAX_CHARACTERS

_LEASE_MS = 120_000
_SLICE_MS = 20_000
_MAX_BATCHES = 80  # in a slice: each makes four queries of D1
_BATCH = 50  # texts of a call
_CALL_MS = 20_000
# What another call would meet as well.
_LASTING = (UpstreamRejectedError, UpstreamNotConfiguredError)
_PAGE = 1_000  # vectors read at once
_PAUSE_SECONDS = 0.01  # other requests have their turn between steps
_PARTS_A_STATE = 1_000
_CHECKSUM_BYTES = 32
_MAX_ATTEMPTS = 5


async def second_training(services: Services, made: Classifier) -> list[Statement]:
    """What starts it, for the batch in which the training of the classifier ends; nothing if no
    embedding model is set."""
    config = await services.routing.current()
    model = embedding_model(config)
    if model is None:
        return []
    return store.insert_embedding_classifier(
        services.new_id(ID_PREFIX),
        made.id,
        model_id=model.id,
        identity=config.identity_hash(model),
        created_ms=services.now_ms(),
    )


def embedding_model(config: RoutingConfig) -> Model | None:
    """The one that the setting names, if it can be asked."""
    model = find_model(config.models, config.embedding_model or "")
    is_one = model is not None and model.type == "embedding" and model.status == "available"
    return model if is_one else None


@dataclass(frozen=True, kw_only=True)
class EmbeddingTrainingKind:
    name: JobKindName = "embedding_training"
    event: str = "embedding_training"
    resource: str = "classifier"
    lease_ms: int = _LEASE_MS
    slices_per_run: int = 1
    max_attempts: int = _MAX_ATTEMPTS
    max_failures: int = MAX_FAILURES
    max_ms: int = _SLICE_MS

    async def run_slice(self, lease: Lease) -> SliceOutcome:
        made = await store.read_embedding_classifier(lease.services.db, lease.job.resource_id)
        first = await read_training(lease.services.db, made.classifier_id)
        return await _Slice(lease, made, first, self.max_ms).run()

    async def exhausted(self, lease: Lease) -> SliceOutcome:
        why = f"a slice was begun {self.max_attempts} times and never came to its end"
        return _failed(lease.job.resource_id, why)

    def clean_up(self, resource_id: str) -> Sequence[Statement]:
        return [store.delete_embedding_work(resource_id)]


class _Slice:
    def __init__(
        self, lease: Lease, made: EmbeddingClassifier, first: Classifier, max_ms: int
    ) -> None:
        self._lease, self._services = lease, lease.services
        self._made, self._first = made, first
        self._progress = made.progress.model_copy()
        self._ends_at = lease.services.now_ms() + max_ms

    @property
    def _ended(self) -> bool:
        return self._services.now_ms() >= self._ends_at

    async def run(self) -> SliceOutcome:
        stored = await EMBEDDING_PARTS.read(self._services.db, self._made.id, "examples")
        if not stored:
            return self._failure("the examples of the classifier are gone; train it again")
        try:
            examples = Examples.from_bytes(stored, self._services.word_vectors())
            if self._progress.stage == "vectors":
                return await self._make_vectors(examples)
            return await self._train(examples)
        except (ValueError, OverflowError) as error:
            return self._failure(str(error))

    async def _make_vectors(self, examples: Examples) -> SliceOutcome:
        services, progress = self._services, self._progress
        config = await services.routing.current()
        model = embedding_model(config)
        if model is None or config.identity_hash(model) != self._made.identity:
            return self._failure("the setting `embedding_model` has changed meanwhile; train again")
        of_agents = _agent_texts(config, self._first.agents)
        for number in range(_MAX_BATCHES):
            start = progress.prepared
            if start >= len(examples) or (number and self._ended):
                break
            indices = range(start, min(start + _BATCH, len(examples)))
            hashes = [examples.query_hash(at) for at in indices if examples.stands_alone(at)]
            failure = await self._make(config, model, hashes, of_agents)
            if failure is not None:
                return failure
            progress.prepared = indices.stop
        if progress.prepared >= len(examples):
            progress.stage = "training"
        progress.slices += 1
        return SliceOutcome(checkpoint=progress.model_dump_json())

    async def _make(
        self,
        config: RoutingConfig,
        model: Model,
        hashes: Sequence[str],
        of_agents: Mapping[str, str],
    ) -> SliceOutcome | None:
        """Of a batch of questions. A call that fails ends the slice: the job is retried later."""
        services, progress, db = self._services, self._progress, self._services.db
        identity, now_ms = self._made.identity, self._services.now_ms()
        known = await find_vectors(db, identity, hashes)
        wanted = [each for each in hashes if each not in known]
        writes = [note_use(identity, list(known), now_ms=now_ms)] if known else []
        texts = await find_texts(db, wanted) if wanted else {}
        # What was erased since is in no table any more.
        texts |= {each: of_agents[each] for each in wanted if each in of_agents}
        progress.missing += len(wanted) - len(texts)
        if texts:
            vectors, call = await embed(
                services,
                config,
                model,
                [text[:MAX_CHARACTERS] for text in texts.values()],
                width=self._made.width,
                budget_ms=_CALL_MS,
                cache_key=None,
                metadata={"purpose": "embedding", "classifier_id": self._made.classifier_id},
            )
            count_model_call(services.metrics, call)
            if vectors is None:
                failure = call.failure
                if failure is not None and not isinstance(failure, _LASTING):
                    raise failure  # the runner retries the job
                why = "no answer" if failure is None else failure.message
                return self._failure(f"the embedding model failed: {why}")
            self._add_cost(call.cost_usd)
            progress.made += len(vectors)
            if self._made.width is None:
                self._made.width = len(vectors[0])
                writes.append(store.note_width(self._made.id, self._made.width))
            found = dict(zip(texts, vectors, strict=True))
            for is_agents in (False, True):
                part = {key: one for key, one in found.items() if (key in of_agents) is is_agents}
                if part:
                    writes.append(store_vectors(identity, part, of_agents=is_agents, now_ms=now_ms))
        elif known and self._made.width is None:
            self._made.width = len(next(iter(known.values())))
            writes.append(store.note_width(self._made.id, self._made.width))
        if writes:
            await self._lease.write(*writes)
        await services.sleep(_PAUSE_SECONDS)
        return None

    def _add_cost(self, cost_usd: float | None) -> None:
        before = self._progress.cost_usd
        unknown = before is None or cost_usd is None
        self._progress.cost_usd = None if unknown else round((before or 0) + (cost_usd or 0), 9)

    async def _train(self, examples: Examples) -> SliceOutcome:
        vectors = await self._vectors(examples)
        if isinstance(vectors, SliceOutcome):
            return vectors
        second = with_embeddings(examples, vectors, self._made.identity)
        training = await self._training(second)
        visits = max(1, STEP_COST // visit_cost(second))
        while True:  # at least one step, so that every slice gets somewhere
            training.step(visits)
            await self._services.sleep(_PAUSE_SECONDS)
            if training.finished or self._ended:
                break
        self._progress.slices += 1
        if training.finished:
            return await self._finish(training)
        first = self._progress.slices * _PARTS_A_STATE
        await self._write("state", training.to_bytes(), first=first)
        done, passes = training.passes
        return SliceOutcome(
            statements=[store.delete_states(self._made.id, below=first)],
            checkpoint=self._progress.model_dump_json(),
            done=done,
            total=passes,
        )

    async def _vectors(self, examples: Examples) -> dict[str, bytes] | SliceOutcome:
        wanted = [
            examples.query_hash(at) for at in range(len(examples)) if examples.stands_alone(at)
        ]
        width = self._made.width or 0
        if len(wanted) * width > MAX_VECTOR_BYTES:
            return self._failure(
                f"{len(wanted)} labels with {width} numbers are too many; choose a model with"
                " shorter vectors"
            )
        found: dict[str, bytes] = {}
        for at in range(0, len(wanted), _PAGE):
            page = wanted[at : at + _PAGE]
            found |= await find_vectors(self._services.db, self._made.identity, page)
        found = {key: vector for key, vector in found.items() if len(vector) == width}
        if not found or len(found) < MIN_SHARE_OF_VECTORS * len(wanted):
            return self._failure(
                f"only {len(found)} of {len(wanted)} labels have a vector; train again"
            )
        return found

    async def _training(self, examples: Examples) -> Training:
        options = self._first.options
        stored = await EMBEDDING_PARTS.read(
            self._services.db,
            self._made.id,
            "state",
            first=self._progress.slices * _PARTS_A_STATE,
        )
        if stored:
            return Training.resume(stored, examples)
        plan = Plan(seed=options.seed, target=options.target, min_labels=options.min_labels)
        return Training(examples, plan)

    async def _finish(self, training: Training) -> SliceOutcome:
        decisions = await decisions_by_agent(self._services, self._first.agents)
        model = training.model(known_mix(decisions))
        content, calibration = dumps(model), model.calibration
        outcome = {"metrics": json.dumps(calibration.metrics), "refusal": calibration.refusal}
        if calibration.refusal is None:
            await self._write("model", content)
            checksum = content[-_CHECKSUM_BYTES:].hex()
            outcome |= {"size": str(len(content)), "checksum": checksum}
        self._progress.stage = "finished"
        return SliceOutcome(
            state="succeeded",
            statements=[
                store.store_embedding_outcome(self._made.id, outcome),
                store.delete_embedding_work(self._made.id),
            ],
            checkpoint=self._progress.model_dump_json(),
            total=training.passes[1],
        )

    def _failure(self, why: str) -> SliceOutcome:
        return _failed(self._made.id, why)

    async def _write(self, kind: str, content: bytes, *, first: int = 0) -> None:
        for part in EMBEDDING_PARTS.write(self._made.id, kind, content, first=first):
            await self._lease.write(part)


def _agent_texts(config: RoutingConfig, agents: Sequence[str]) -> dict[str, str]:
    """By the hash of their question: the texts of these agents as they are now."""
    found: dict[str, str] = {}
    for agent_id in agents:
        agent = config.agents.get(agent_id)
        for text in agent_texts(agent) if agent is not None else ():
            found[query_hash(text)] = text
    return found


def _failed(embedding_id: str, why: str) -> SliceOutcome:
    return SliceOutcome(
        state="failed",
        statements=[store.delete_embedding_work(embedding_id)],
        error=error_text("embedding_training_failed", why),
    )
