"""The job that trains a classifier. The request that creates a training may run a short first
slice, the runner runs the others. The result of a slice is stored before its lease ends, so a slice
that is killed is run again, and the model comes out the same."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from edgeneuro.classifier.enabled_agents import scorer_among
from edgeneuro.classifier.examples import Examples
from edgeneuro.classifier.model import dumps
from edgeneuro.classifier.plan import Plan
from edgeneuro.classifier.preparation import Preparation
from edgeneuro.classifier.scorer import scorer_of
from edgeneuro.classifier.shortlist import representatives
from edgeneuro.classifier.sources import HUMAN
from edgeneuro.classifier.training import Training
from edgeneuro.controlplane.jobs.embedding_training import second_training
from edgeneuro.controlplane.jobs.machine_examples import ToRead
from edgeneuro.controlplane.jobs.pacing import STEP_COST, in_pieces, visit_cost
from edgeneuro.controlplane.jobs.runner import Lease, SliceOutcome, run_slice
from edgeneuro.controlplane.jobs.training_examples import MAX_LABELS, ExampleReader
from edgeneuro.controlplane.learning.classifier_check import config_of, score_on_test_part
from edgeneuro.controlplane.learning.retraining import not_selected, selection_by_rule
from edgeneuro.controlplane.learning.shortlist_report import recall_metrics, shortlist_report
from edgeneuro.controlplane.learning.traffic import (
    agent_mix,
    decisions_by_agent,
    known_mix,
    with_traffic,
)
from edgeneuro.controlplane.learning.training_report import (
    coverage_warnings,
    curve_points,
    follow_ups,
    label_warnings,
    measure_robustness,
    needs_of,
    not_precise_enough,
    per_agent,
)
from edgeneuro.domain.classifier import Classifier, TrainingNeeds, TrainingProgress
from edgeneuro.domain.job import JobKindName, job_id_of
from edgeneuro.domain.label import DataSnapshot, label_set_sha256
from edgeneuro.services import Services
from edgeneuro.store import trainings as store
from edgeneuro.store.classifier_examples import write_examples
from edgeneuro.store.classifiers import delete_work
from edgeneuro.store.database import Statement, Value
from edgeneuro.store.datasets import count_training_labels, newest_label_in_force
from edgeneuro.store.jobs import MAX_FAILURES, error_text
from edgeneuro.store.parts import CLASSIFIER_PARTS

# Longer than any slice may take: a request's work ends 30 s after its answer, a cron's after 30 s
# of CPU time.
LEASE_MS = 120_000
# A slice, in units of what it takes workerd to add one class of a visit to one label. 5,000 labels
# of 15 agents are 10 million, 14 s on two shared cores (bench/train_in_worker.py).
SLICE_COST = 11_000_000
# Where a machine is slower, a slice ends here: a busy one was seen to take 33 s for the whole cost.
_SLICE_MS = 20_000
# Of a first slice, in the background of the request that created the training: that is ended 30 s
# after the response.
_FIRST_SLICE_MS = 10_000
_GROUP_COST = 1_000  # of finding a label's variants
_PAUSE_SECONDS = 0.01  # workerd ignores shorter ones
_MAX_ATTEMPTS = 5  # slices of one training that started in a row and never ended
_PARTS_A_STATE = 1_000  # numbers of one state's parts; the next state has others
_LINES_PART = 900  # of them the first with the lines of the labels (domain/label.py)
_MACHINE_PART = 950  # and the first with the machine labels that are still to be read
_CHECKSUM_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class TrainingKind:
    """`cost`, `max_labels` and `max_ms` bound one slice."""

    name: JobKindName = "training"
    event: str = "classifier_training"
    resource: str = "classifier"
    lease_ms: int = LEASE_MS
    slices_per_run: int = 1  # it takes most of the CPU time of a run
    max_attempts: int = _MAX_ATTEMPTS
    max_failures: int = MAX_FAILURES
    cost: int = SLICE_COST
    max_labels: int = MAX_LABELS
    max_ms: int = _SLICE_MS

    async def run_slice(self, lease: Lease) -> SliceOutcome:
        return await (await self._slice(lease)).run()

    async def exhausted(self, lease: Lease) -> SliceOutcome:
        why = f"a slice was begun {self.max_attempts} times and never came to its end"
        return (await self._slice(lease)).failed(why)

    def clean_up(self, resource_id: str) -> Sequence[Statement]:
        return delete_work(resource_id, keep_model=False)

    async def _slice(self, lease: Lease) -> "_Slice":
        job = await store.read_training(lease.services.db, lease.job.resource_id)
        return _Slice(self, lease, job)


async def run_first_slice(services: Services, classifier_id: str) -> None:
    """In the background of the request that created the training."""
    await services.sleep(_PAUSE_SECONDS)  # the response is sent first
    kind = replace(TrainingKind(), max_ms=_FIRST_SLICE_MS)
    await run_slice(services, kind, job_id_of(classifier_id))


class _Slice:
    def __init__(self, kind: TrainingKind, lease: Lease, job: Classifier) -> None:
        self._lease = lease
        self._services = lease.services
        self._job = job
        self._left = kind.cost
        self._max_labels = kind.max_labels
        self._ends_at = lease.services.now_ms() + kind.max_ms
        self._progress: TrainingProgress = job.progress.model_copy()
        self._labels = job.labels
        self._last_label_id = job.last_label_id
        self._step = 0  # the cost since the last pause
        self._lines: list[str] = []  # of the labels that this slice has prepared
        self._machine_labels: ToRead | None = None

    @property
    def _ended(self) -> bool:
        return self._left <= 0 or self._services.now_ms() >= self._ends_at

    async def run(self) -> SliceOutcome:
        try:
            examples = await self._examples()
            if isinstance(examples, SliceOutcome):
                return examples
            training = await self._training(examples)
            await self._train(training, examples)
            if training.finished:
                return await self._finish(training, examples)
            return await self._store_state(training)
        except (ValueError, OverflowError) as error:
            return self.failed(str(error))

    async def _examples(self) -> Examples | SliceOutcome:
        """Prepared from the labels in the first slices, stored for the others. A result if the
        slice ends before all are prepared."""
        if self._progress.stage != "labels":
            stored = await self._read("examples")
            return Examples.from_bytes(stored, self._services.word_vectors())
        if not self._progress.prepared_slices:
            self._last_label_id = await newest_label_in_force(self._services.db)
        part = Preparation(self._services.word_vectors())
        # Putting many together takes as long as a slice may, and has no pause.
        to_read = await self._machine_labels_to_read()
        reader = ExampleReader(self._services, self._job, self._progress, self._max_labels, to_read)
        all_read = await reader.read(part, self._spend)
        self._lines, self._machine_labels = reader.lines, reader.machine_labels
        if not all_read or len(part) * _GROUP_COST > SLICE_COST:
            return await self._store_prepared(part)
        whole = await self._prepared_before()
        whole.extend(part)
        data = await self._snapshot()
        examples = whole.examples()
        self._labels = examples.sources.count(HUMAN)
        self._left -= _GROUP_COST * len(examples)
        self._progress.left_out["conflict"] = examples.conflicts
        self._progress.left_out["over_the_limit"] = await count_training_labels(
            self._services.db, self._progress.prepared_to
        )
        if not examples.classes:
            return self._refused(needs_of(self._job, examples), {})
        self._progress.stage = "training"
        await self._write("examples", examples.to_bytes())
        await self._lease.advance(
            self._noted(data), checkpoint=self._progress.model_dump_json(), advanced=False
        )
        return examples

    async def _spend(self, cost: int) -> bool:
        """Of preparing a label; says whether the slice goes on."""
        self._step += cost
        if self._step < STEP_COST:
            return True
        self._left, self._step = self._left - self._step, 0
        await self._services.sleep(_PAUSE_SECONDS)
        return not self._ended

    async def _store_prepared(self, part: Preparation) -> SliceOutcome:
        first = self._progress.prepared_slices * _PARTS_A_STATE
        await self._write("state", part.to_bytes(), first=first)
        lines = "".join(self._lines).encode()
        await self._write("state", lines, first=first + _LINES_PART)
        if self._machine_labels is not None:
            left = self._machine_labels.to_bytes()
            await self._write("state", left, first=first + _MACHINE_PART)
        self._progress.prepared_slices += 1
        self._progress.slices += 1
        return SliceOutcome(statements=[self._noted()], checkpoint=self._progress.model_dump_json())

    async def _machine_labels_to_read(self) -> ToRead | None:
        """As the slice before has left them; None where they were not chosen yet."""
        first = (self._progress.prepared_slices - 1) * _PARTS_A_STATE + _MACHINE_PART
        if first < 0:
            return None
        stored = await self._read("state", first=first)
        return ToRead.from_bytes(stored) if stored else None

    async def _prepared_before(self) -> Preparation:
        whole = Preparation(self._services.word_vectors())
        for number in range(self._progress.prepared_slices):
            content = await self._read("state", first=number * _PARTS_A_STATE)
            whole.extend(Preparation.from_bytes(content))
            await self._services.sleep(_PAUSE_SECONDS)
        return whole

    async def _snapshot(self) -> DataSnapshot:
        """Of all labels that were prepared, in this slice and those before it."""
        lines = self._lines
        for number in range(self._progress.prepared_slices):
            first = number * _PARTS_A_STATE + _LINES_PART
            stored = await self._read("state", first=first)
            lines = [*stored.decode().splitlines(keepends=True), *lines]
        return DataSnapshot(
            labels=len(lines),
            newest_label_id=self._last_label_id,
            sha256=label_set_sha256(lines),
        )

    async def _training(self, examples: Examples) -> Training:
        options, slices = self._job.options, self._progress.slices
        if slices == self._progress.prepared_slices:
            plan = Plan(seed=options.seed, target=options.target, min_labels=options.min_labels)
            return Training(examples, plan)
        state = await self._read("state", first=slices * _PARTS_A_STATE)
        return Training.resume(state, examples)

    async def _train(self, training: Training, examples: Examples) -> None:
        cost = visit_cost(examples)
        while not training.finished and not self._ended:
            visits = training.step(max(1, min(STEP_COST, self._left) // cost))
            self._progress.visits += visits
            self._left -= max(1, visits) * cost
            await self._services.sleep(_PAUSE_SECONDS)

    async def _store_state(self, training: Training) -> SliceOutcome:
        self._progress.slices += 1
        first = self._progress.slices * _PARTS_A_STATE
        await self._write("state", training.to_bytes(), first=first)
        done, passes = training.passes
        return SliceOutcome(
            statements=[self._noted(), store.delete_states(self._job.id, below=first)],
            checkpoint=self._progress.model_dump_json(),
            done=done,
            total=passes,
        )

    async def _finish(self, training: Training, examples: Examples) -> SliceOutcome:
        decisions = await decisions_by_agent(self._services, self._job.agents)
        mix, known = agent_mix(self._job, examples, decisions), known_mix(decisions)
        await in_pieces(training.familiarity.find(), self._services.sleep)
        model, measured = training.model(known), training.measured(known)
        measures = measured.by_class()
        thresholds = per_agent(self._job, model, examples, measures)
        suspects = training.suspects(model.calibration)
        warnings = label_warnings(self._job, examples, mix, measures, len(suspects))
        shortlist = shortlist_report(self._job, training.shortlist(known), examples)
        metrics = model.calibration.metrics | recall_metrics(shortlist)
        outcome: dict[str, Value] = {
            "mix": mix.model_dump_json(),
            "suspects": json.dumps([asdict(each) for each in suspects]),
            "warnings": json.dumps(warnings),
            "metrics": json.dumps(metrics),
            "curve": await curve_points(measured, self._services.sleep),
            "per_agent": json.dumps([each.model_dump() for each in thresholds]),
            "follow_ups": follow_ups(model, training.follow_ups).model_dump_json(),
            "shortlist": shortlist.model_dump_json(),
        }
        content = dumps(model)
        if len(model.classes) > 1:  # else its scores compare nothing, for the label queue neither
            await self._write("model", content)
        if model.calibration.refusal is not None:
            needs = needs_of(self._job, examples)
            if needs.ready:
                needs = not_precise_enough(needs, model.calibration.refusal, warnings)
            return self._refused(needs, outcome)
        config = await config_of(self._services, self._job)
        scorer = scorer_of(model, self._services.word_vectors)
        scorer = scorer_among(scorer, self._job.agents, config)
        score = await score_on_test_part(self._services, config, scorer, self._job)
        score = with_traffic(score, decisions)
        robustness = await measure_robustness(self._services, config, scorer)
        outcome |= {
            "test_score": score.model_dump_json(),
            "robustness": json.dumps([each.model_dump() for each in robustness]),
            "size": len(content),
            "checksum": content[-_CHECKSUM_BYTES:].hex(),
        }
        self._progress.slices += 1
        self._progress.stage = "finished"
        made = self._job.model_copy(update={"per_agent": thresholds, "metrics": metrics})
        warnings += await coverage_warnings(self._services, config, made, score)
        outcome["warnings"] = json.dumps(warnings)
        rule, selection = await selection_by_rule(self._services, made, score)
        outcome["rule_outcome"] = None if rule is None else rule.model_dump_json()
        shown = write_examples(self._job.id, representatives(examples) if shortlist.agents else {})
        then = [*selection, shown, *await second_training(self._services, made)]
        return self._outcome("succeeded", outcome, then=then, passes=training.passes[1])

    def _refused(self, needs: TrainingNeeds, outcome: dict[str, Value]) -> SliceOutcome:
        return self.failed(needs.message, outcome | {"needs": needs.model_dump_json()})

    def failed(self, why: str, outcome: dict[str, Value] | None = None) -> SliceOutcome:
        rule, notice = not_selected(self._services, self._job, f"the training failed: {why}")
        reported = None if rule is None else rule.model_dump_json()
        outcome = (outcome or {}) | {"rule_outcome": reported}
        return self._outcome(
            "failed", outcome, then=notice, error=error_text("training_failed", why)
        )

    def _outcome(
        self,
        state: Literal["succeeded", "failed"],
        outcome: dict[str, Value],
        *,
        then: Sequence[Statement],
        error: str | None = None,
        passes: int | None = None,
    ) -> SliceOutcome:
        stored = store.store_outcome(self._job.id, labels=self._labels, outcome=outcome)
        return SliceOutcome(
            state=state,
            statements=[stored, *then, *delete_work(self._job.id)],
            checkpoint=self._progress.model_dump_json(),
            total=passes,
            error=error,
        )

    def _noted(self, data: DataSnapshot | None = None) -> Statement:
        return store.note_labels(
            self._job.id, labels=self._labels, last_label_id=self._last_label_id, data=data
        )

    async def _read(self, kind: str, *, first: int = 0) -> bytes:
        return await CLASSIFIER_PARTS.read(self._services.db, self._job.id, kind, first=first)

    async def _write(self, kind: str, content: bytes, *, first: int = 0) -> None:
        for part in CLASSIFIER_PARTS.write(self._job.id, kind, content, first=first):
            await self._lease.write(part)
