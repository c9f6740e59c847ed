"""Trainings of classifiers, slice by slice: the request that creates a training may make a short
first one, the cron makes the others. The result of a slice is stored before the training is
released, so a slice that is killed is made again, and the model comes out the same."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from edgeneuro.classifier.examples import Examples, Labelled, Preparation
from edgeneuro.classifier.model import dumps
from edgeneuro.classifier.scorer import Scorer
from edgeneuro.classifier.training import Plan, Training
from edgeneuro.controlplane.jobs.jobs import LostLeaseError, run_slice_of
from edgeneuro.controlplane.learning.classifier_check import score_on_test_part
from edgeneuro.controlplane.learning.retraining import not_selected, selection_by_rule
from edgeneuro.controlplane.learning.traffic import (
    agent_mix,
    decisions_by_agent,
    known_mix,
    with_traffic,
)
from edgeneuro.controlplane.learning.training_report import (
    coverage_warnings,
    label_warnings,
    measure_robustness,
    needs_of,
    not_precise_enough,
    per_agent,
)
from edgeneuro.domain.classifier import Classifier, TrainingNeeds
from edgeneuro.domain.label import DataSnapshot, label_line, label_set_sha256
from edgeneuro.services import Services
from edgeneuro.store import trainings as store
from edgeneuro.store.classifiers import delete_work, read_parts
from edgeneuro.store.database import Rows, Statement, Value
from edgeneuro.store.datasets import count_training_labels, newest_label_in_force, training_labels

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
_VISIT_COST = 30  # beside the classes of a visit
_LABEL_COST, _CHARACTER_COST = 120, 12  # of preparing a label: 50,000 short ones are 30 million
_GROUP_COST = 1_000  # of finding the variants of a label
# After each step, some 60 ms, other requests have their turn. With a shorter pause workerd goes on
# here before it looks at them.
_STEP_COST, _PAUSE_SECONDS = 40_000, 0.01
_MAX_TRIES = 5  # slices of one training that started in a row and never ended
_MAX_LABELS, _MAX_CHARACTERS = 50_000, 10_000_000  # that fit an isolate's memory
_PARTS_A_STATE = 1_000  # numbers of one state's parts; the next state has others
_LINES_PART = 900  # of them the first with the lines of the labels (domain/label.py)
_CHECKSUM_BYTES = 32


async def run_slice(
    services: Services,
    classifier_id: str,
    *,
    cost: int = SLICE_COST,
    most_labels: int = _MAX_LABELS,
    most_ms: int = _SLICE_MS,
) -> None:
    """Makes the training's next slice, if no other run holds it. Raises nothing."""

    async def make_slice(now_ms: int, until_ms: int) -> bool:
        held = await store.claim(services.db, classifier_id, now_ms=now_ms, until_ms=until_ms)
        if held is not None:
            await _Slice(services, held, cost, most_labels, now_ms + most_ms).run()
        return False  # one takes most of the CPU time of a run

    await run_slice_of(services, "classifiers", classifier_id, make_slice, lease_ms=LEASE_MS)


async def run_first_slice(services: Services, classifier_id: str) -> None:
    """In the background of the request that created the training."""
    await services.sleep(_PAUSE_SECONDS)  # the response is sent first
    await run_slice(services, classifier_id, most_ms=_FIRST_SLICE_MS)


class _Slice:
    def __init__(
        self,
        services: Services,
        held: store.Claim,
        cost: int,
        most_labels: int,
        ends_at: int,
    ) -> None:
        self._services = services
        self._held = held
        self._left = cost
        self._most_labels = most_labels
        self._ends_at = ends_at
        self._progress = held.training.progress.model_copy()
        self._labels = held.training.labels
        self._last_label_id = held.training.last_label_id
        self._lines: list[str] = []  # of the labels that this slice has prepared

    @property
    def _job(self) -> Classifier:
        return self._held.training

    @property
    def _ended(self) -> bool:
        return self._left <= 0 or self._services.now_ms() >= self._ends_at

    async def run(self) -> None:
        if self._progress.tries > _MAX_TRIES:
            await self._fail(f"a slice was begun {_MAX_TRIES} times and never came to its end")
            return
        try:
            examples = await self._examples()
            if examples is None:
                return
            training = await self._training(examples)
            await self._train(training, len(examples.classes))
            if training.finished:
                await self._finish(training, examples)
            else:
                await self._keep(training)
        except (ValueError, OverflowError) as error:
            await self._fail(str(error))

    async def _examples(self) -> Examples | None:
        """Prepared from the labels in the first slices, stored for the others; None if the slice
        ends before all are prepared."""
        if self._progress.stage != "labels":
            kept = await read_parts(self._services.db, self._job.id, "examples")
            return Examples.from_bytes(kept)
        if not self._progress.prepared_slices:
            self._last_label_id = await newest_label_in_force(self._services.db)
        part = Preparation()
        # Putting many together takes as long as a slice may, and has no pause.
        if not await self._prepare(part) or len(part) * _GROUP_COST > SLICE_COST:
            await self._keep_prepared(part)
            return None
        whole = await self._prepared_before()
        whole.extend(part)
        data = await self._snapshot()
        examples = whole.examples()
        self._labels = len(examples)
        self._left -= _GROUP_COST * len(examples)
        self._progress.left_out["conflict"] = examples.conflicts
        self._progress.left_out["over_the_limit"] = await count_training_labels(
            self._services.db, self._progress.prepared_to
        )
        if not examples.classes:
            await self._refuse(needs_of(self._job, examples), {})
            return None
        self._progress.stage = "training"
        await self._write("examples", examples.to_bytes())
        await self._advance(keep=True, data=data)
        return examples

    async def _prepare(self, part: Preparation) -> bool:
        """Adds labels by query hash until all are added or the slice ends; returns whether all are.
        If there are too many, those that are left out are any."""
        progress, agents = self._progress, set(self._job.agents)
        progress.left_out.setdefault("agent_not_enabled", 0)
        step = 0
        while (
            progress.prepared < self._most_labels and progress.prepared_characters < _MAX_CHARACTERS
        ):
            page = await training_labels(
                self._services.db,
                progress.prepared_to,
                most=self._most_labels - progress.prepared,
            )
            if not page:
                break
            for row in page:
                query = row["query"]
                progress.prepared_to = row["query_hash"]
                if row["agent_id"] is not None and row["agent_id"] not in agents:
                    progress.left_out["agent_not_enabled"] += 1
                    continue
                part.add(Labelled(query, row["agent_id"], bool(row["hard"])))
                self._lines.append(label_line(row["query_hash"], row["agent_id"]))
                progress.prepared += 1
                progress.prepared_characters += len(query)
                step += _LABEL_COST + _CHARACTER_COST * len(query)
                if step >= _STEP_COST:
                    self._left, step = self._left - step, 0
                    await self._services.sleep(_PAUSE_SECONDS)
                    if self._ended:
                        return False
        self._left -= step
        return True

    async def _keep_prepared(self, part: Preparation) -> None:
        first = self._progress.prepared_slices * _PARTS_A_STATE
        await self._write("state", part.to_bytes(), first=first)
        lines = "".join(self._lines).encode()
        await self._write("state", lines, first=first + _LINES_PART)
        self._progress.prepared_slices += 1
        self._progress.slices += 1
        self._progress.tries = 0
        await self._advance(keep=False)

    async def _prepared_before(self) -> Preparation:
        whole = Preparation()
        for number in range(self._progress.prepared_slices):
            content = await read_parts(
                self._services.db, self._job.id, "state", first=number * _PARTS_A_STATE
            )
            whole.extend(Preparation.from_bytes(content))
            await self._services.sleep(_PAUSE_SECONDS)
        return whole

    async def _snapshot(self) -> DataSnapshot:
        """Of all labels that were prepared, in this slice and those before it."""
        lines = self._lines
        for number in range(self._progress.prepared_slices):
            first = number * _PARTS_A_STATE + _LINES_PART
            kept = await read_parts(self._services.db, self._job.id, "state", first=first)
            lines = [*kept.decode().splitlines(keepends=True), *lines]
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
        state = await read_parts(
            self._services.db, self._job.id, "state", first=slices * _PARTS_A_STATE
        )
        return Training.resume(state, examples)

    async def _train(self, training: Training, classes: int) -> None:
        cost = classes + _VISIT_COST
        while not training.finished and not self._ended:
            visits = training.step(max(1, min(_STEP_COST, self._left) // cost))
            self._progress.visits += visits
            self._left -= max(1, visits) * cost
            await self._services.sleep(_PAUSE_SECONDS)

    async def _keep(self, training: Training) -> None:
        self._progress.slices += 1
        self._progress.tries = 0
        first = self._progress.slices * _PARTS_A_STATE
        await self._write("state", training.to_bytes(), first=first)
        await self._advance(keep=False)
        await self._services.db.run(store.delete_states(self._job.id, below=first))

    async def _finish(self, training: Training, examples: Examples) -> None:
        decisions = await decisions_by_agent(self._services, self._job.agents)
        mix = agent_mix(self._job, examples, decisions)
        model = training.model(known_mix(decisions))
        held_out = training.held_out()
        thresholds = per_agent(self._job, model, examples, held_out)
        suspects = training.suspects(model.calibration)
        warnings = label_warnings(self._job, examples, mix, held_out, len(suspects))
        metrics = model.calibration.metrics
        outcome: dict[str, Value] = {
            "mix": mix.model_dump_json(),
            "suspects": json.dumps([asdict(each) for each in suspects]),
            "warnings": json.dumps(warnings),
            "metrics": json.dumps(metrics),
            "per_agent": json.dumps([each.model_dump() for each in thresholds]),
        }
        content = dumps(model)
        if len(model.classes) > 1:  # else its scores compare nothing, for the label queue neither
            await self._write("model", content)
        if model.calibration.refusal is not None:
            needs = needs_of(self._job, examples)
            if needs.ready:
                needs = not_precise_enough(needs, model.calibration.refusal, warnings)
            await self._refuse(needs, outcome)
            return
        config = await self._services.routing.fresh()
        scorer = Scorer(model)
        score = await score_on_test_part(self._services, config, scorer)
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
        await self._end("succeeded", outcome=outcome, then=selection)

    async def _refuse(self, needs: TrainingNeeds, outcome: dict[str, Value]) -> None:
        await self._fail(needs.message, outcome | {"needs": needs.model_dump_json()})

    async def _fail(self, why: str, outcome: dict[str, Value] | None = None) -> None:
        rule, notice = not_selected(self._services, self._job, f"the training failed: {why}")
        reported = None if rule is None else rule.model_dump_json()
        outcome = (outcome or {}) | {"rule_outcome": reported}
        await self._end("failed", error=why, outcome=outcome, then=notice)

    async def _end(
        self,
        state: str,
        *,
        error: str | None = None,
        outcome: dict[str, Value] | None = None,
        then: Sequence[Statement] = (),
    ) -> None:
        self._progress.tries = 0
        finished = store.finish(
            self._held,
            state,
            now_ms=self._services.now_ms(),
            progress=self._progress,
            labels=self._labels,
            error=error,
            outcome=outcome,
        )
        rows = await self._services.db.batch([finished, *then, *delete_work(self._job.id)])
        self._services.routing.forget()
        _require(rows[0])

    async def _advance(self, *, keep: bool, data: DataSnapshot | None = None) -> None:
        advanced = store.advance(
            self._held,
            self._progress,
            labels=self._labels,
            last_label_id=self._last_label_id,
            keep=keep,
            data=data,
        )
        _require(await self._services.db.run(advanced))

    async def _write(self, kind: str, content: bytes, *, first: int = 0) -> None:
        if not await store.write_parts(self._services.db, self._held, kind, content, first=first):
            raise LostLeaseError


def _require(rows: Rows) -> None:
    if not rows:
        raise LostLeaseError
