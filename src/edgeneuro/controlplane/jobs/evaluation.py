"""The jobs that run an evaluation, or a run of the routing tests. Answers are stored as they come,
so a killed slice loses only those that were being asked. Only those that failed are asked again."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel

from edgeneuro.classifier.model import InvalidModelError
from edgeneuro.controlplane.evaluations.evaluation_targets import (
    Target,
    answered,
    classified,
    pipeline_target,
    prompts_of,
    proposal_named,
)
from edgeneuro.controlplane.jobs.pacing import failure_pause_ms
from edgeneuro.controlplane.jobs.runner import Lease, SliceOutcome
from edgeneuro.controlplane.proposals import propose
from edgeneuro.domain.evaluation import PIPELINE, Evaluation, EvaluationResults
from edgeneuro.domain.job import JobKindName
from edgeneuro.domain.proposal import Proposal, fingerprint
from edgeneuro.domain.router_names import DEFAULT_ROUTER
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.trace import continue_trace
from edgeneuro.errors import ConflictError, InvalidRequestError
from edgeneuro.store import evaluation_jobs as store
from edgeneuro.store.database import Row, Statement
from edgeneuro.store.evaluation_details import read_details, read_label_set
from edgeneuro.store.evaluation_results import read_results
from edgeneuro.store.evaluations import MAX_TRIES
from edgeneuro.store.jobs import MAX_FAILURES, error_text
from edgeneuro.store.reliability import read_reliability
from edgeneuro.store.routing_tests import read_outcome
from edgeneuro.synapsecore.rankers.classifier import judge_stored, read_scorer
from edgeneuro.synapsecore.turn import CallerContext
from edgeneuro.web.auth import Credential

# Longer than a slice takes, with the longest time budget of its last questions.
LEASE_MS = 150_000
_SLICE_MS = 20_000
_PAUSE_SECONDS = 0.01  # other requests have their turn
_MAX_SLICES_PER_RUN = 8  # each takes some 50 of the 1,000 queries of D1 that a run may make
_AT_A_TIME = 6  # a Worker has six connections
# A slice has so many questions: it takes two statements of D1 for six of them, and some 20 beside,
# which is within the 50 that the free plan allows a request.
_MAX_QUESTIONS = 72
_CLASSIFIER_QUESTIONS = 200  # that one statement records; some 50 ms of a classifier
_MAX_ATTEMPTS = 30  # slices without an answer; with the pauses between them over two hours


@dataclass(frozen=True, kw_only=True)
class EvaluationKind:
    name: JobKindName = "evaluation"
    event: str = "evaluation"
    resource: str = "evaluation"
    lease_ms: int = LEASE_MS
    slices_per_run: int = _MAX_SLICES_PER_RUN
    max_attempts: int = _MAX_ATTEMPTS
    max_failures: int = MAX_FAILURES

    async def run_slice(self, lease: Lease) -> SliceOutcome:
        return await (await self._slice(lease)).run()

    async def exhausted(self, lease: Lease) -> SliceOutcome:
        return _failed(
            f"{self.max_attempts} slices in a row came to nothing. GET"
            f" /v1/evaluations/{lease.job.resource_id}/answers?wrong=true says why models gave no"
            " answer; fix that, then evaluate again"
        )

    def clean_up(self, resource_id: str) -> Sequence[Statement]:
        return ()  # the answers stay

    async def _slice(self, lease: Lease) -> "_Slice":
        job = await store.read_job(lease.services.db, lease.job.resource_id)
        return _Slice(lease, job)


class _EndedError(Exception):
    """The evaluation has to end; the text is its error."""


class _Slice:
    def __init__(self, lease: Lease, job: store.EvaluationJob) -> None:
        services = lease.services
        self._lease = lease
        self._services = services
        self._job = job
        self._ends_at = services.now_ms() + _SLICE_MS
        self._left = _MAX_QUESTIONS
        self._to_ask_again = False
        self._advanced = False  # a question came to something
        self._done = lease.job.done
        self._total = job.evaluation.labels * len(job.evaluation.model_ids)

    @property
    def _evaluation(self) -> Evaluation:
        return self._job.evaluation

    async def run(self) -> SliceOutcome:
        services = self._services
        # What this isolate keeps may be older than the evaluation, and lack its agents and models.
        installation = await services.routing.fresh()
        config = installation.for_router(self._evaluation.router or DEFAULT_ROUTER)
        if config is None:
            return _failed(f"the router {self._evaluation.router!r} was deleted")
        try:
            targets = await self._targets(config)
        except _EndedError as error:
            return _failed(str(error))
        for name, target in targets.items():
            if target is None:
                continue
            pause_ms = await self._ask_target(name, target)
            if pause_ms is not None:
                return await self._paused(pause_ms)
        if self._to_ask_again:
            return await self._paused(failure_pause_ms())
        return await self._succeeded(config)

    async def _paused(self, pause_ms: int) -> SliceOutcome:
        # Counted again: of a question that failed it is not known here how often it did before.
        done = await store.count_done(self._services.db, self._evaluation.id)
        return SliceOutcome(
            pause_ms=pause_ms, advanced=self._advanced, done=done, total=self._total
        )

    async def _succeeded(self, config: RoutingConfig) -> SliceOutcome:
        db, evaluation = self._services.db, self._evaluation
        results: BaseModel
        details, label_set = None, None
        if self._job.of_tests:
            results = await read_outcome(db, evaluation.id)
        else:
            results = await read_results(db, evaluation.id, evaluation.model_ids)
            results = await self._with_reliability(config, results)
            label_set = await read_label_set(db, evaluation.id)
            default = config.default_agent
            falls_back = config.on_no_fit == "fallback" and default is not None
            details = await read_details(
                db,
                evaluation.id,
                evaluation.model_ids,
                deferring=list(config.classifiers) if evaluation.target == "models" else [],
                fallback_agent=default.id if falls_back and default is not None else None,
                pause=lambda: self._services.sleep(_PAUSE_SECONDS),
            )
        stored = store.store_results(
            evaluation.id,
            results=results.model_dump_json(),
            details=None if details is None else details.model_dump_json(),
            label_set=label_set,
        )
        return SliceOutcome(state="succeeded", statements=[stored], total=self._total)

    async def _with_reliability(
        self, config: RoutingConfig, results: EvaluationResults
    ) -> EvaluationResults:
        evaluation, models = self._evaluation, []
        for each in results.models:
            found = await read_reliability(
                self._services.db,
                evaluation.id,
                each.model_id,
                target=PIPELINE if each.model_id == PIPELINE else evaluation.target,
                classifier=evaluation.target == "models" and each.model_id in config.classifiers,
            )
            models.append(each.model_copy(update={"reliability": found}))
            await self._services.sleep(_PAUSE_SECONDS)
        return results.model_copy(update={"models": models})

    async def _targets(self, config: RoutingConfig) -> dict[str, Target | None]:
        """By id; None for a classifier, which has answered everything at once. Raises
        _EndedError."""
        why = self._why_ended(config)
        if why is not None:
            raise _EndedError(why)
        evaluation, services = self._evaluation, self._services
        targets: dict[str, Target | None] = {}
        if evaluation.target == PIPELINE:
            for name in evaluation.model_ids:
                targets[name] = await self._pipeline(config, name)
            return targets
        # The threshold and the calibrations are those of the beginning.
        at_start = replace(
            config,
            confidence_threshold=evaluation.threshold,
            calibrations={
                name: model.calibration
                for name, model in self._job.measured.items()
                if model.calibration is not None
            },
        )
        for name in evaluation.model_ids:
            targets[name] = None
            if name == PIPELINE:
                targets[name] = await self._pipeline(config, name)
            elif name in config.classifiers:
                try:
                    await self._ask_classifier(at_start, name)
                except InvalidModelError as error:
                    raise _EndedError(f"the classifier {name!r} cannot be used: {error}") from error
            else:
                targets[name] = Target(services, at_start, model=config.models[name])
        return targets

    async def _pipeline(self, config: RoutingConfig, name: str) -> Target:
        job, services = self._job, self._services
        changes = job.proposal.get("changes") if job.of_tests else None
        if changes is None:
            proposal = proposal_named(config, name)
        else:
            proposal = Proposal.model_validate(changes)
        try:
            proposed = await propose(services, config, proposal)
        except (InvalidRequestError, ConflictError) as error:
            raise _EndedError(f"the configuration cannot be tried any more: {error}") from error
        if job.of_tests and fingerprint(proposed) != job.proposal["fingerprint"]:
            raise _EndedError("the configuration has changed since it began; run it again")
        label_layer = job.evaluation.label_layer
        try:
            return await pipeline_target(services, proposed, label_layer=label_layer)
        except InvalidModelError as error:
            raise _EndedError(
                f"the classifier {proposed.classifier!r} cannot be used: {error}"
            ) from error

    async def _ask_target(self, name: str, target: Target) -> int | None:
        """Asks what is left to ask, each question once. Where that ends the slice: for how long
        (ms) the evaluation pauses."""
        db, evaluation = self._services.db, self._evaluation
        items = await store.next_items(db, evaluation.id, name, limit=self._left)
        await target.prepare(items, self._caller())
        for at in range(0, len(items), _AT_A_TIME):
            if self._services.now_ms() >= self._ends_at:
                return 0
            if not await self._ask(name, target, items[at : at + _AT_A_TIME]):
                return failure_pause_ms(evaluation.tries)
        self._left -= len(items)
        return None if self._left else 0

    async def _ask_classifier(self, config: RoutingConfig, classifier_id: str) -> None:
        """All that is left to ask: no question waits for anybody. Raises InvalidModelError."""
        db, services, scorer = self._services.db, self._services, None
        while items := await store.next_items(
            db, self._evaluation.id, classifier_id, limit=_CLASSIFIER_QUESTIONS
        ):
            scorer = scorer or await read_scorer(services, classifier_id, config)
            answers = [
                classified(classifier_id, item, judge_stored(scorer, item, config), config)
                for item in items
            ]
            await self._record(answers, advanced=True)
            await services.sleep(_PAUSE_SECONDS)

    def _why_ended(self, config: RoutingConfig) -> str | None:
        evaluation = self._evaluation
        for name, measured in self._job.measured.items():
            model = config.models.get(name)
            if model is not None and config.identity_hash(model) != measured.identity:
                return f"the model {name!r} was registered again, or has moved; evaluate again"
        if evaluation.target == PIPELINE:
            return self._pipeline_has_changed(config)
        if PIPELINE in evaluation.model_ids and (why := self._pipeline_has_changed(config)):
            return why
        gone = [
            each
            for each in evaluation.model_ids
            if each != PIPELINE
            and each not in config.classifiers
            and (each not in config.models or config.models[each].status != "available")
        ]
        if gone:
            return f"the model {gone[0]!r} is no longer available"
        prompts = prompts_of(config, evaluation.model_ids, evaluation.target)
        if (evaluation.agents_revision, evaluation.prompt_version) != (
            config.agents_revision,
            prompts,
        ):
            return "the agents have changed since it began; evaluate again"
        return None

    def _pipeline_has_changed(self, config: RoutingConfig) -> str | None:
        """A run of tests compares what it proposes instead."""
        job = self._job
        if job.of_tests:
            return None
        calibrated = all(
            config.calibration_version(name) == model.version
            for name, model in job.measured.items()
        )
        if calibrated and job.proposal["fingerprint"] == fingerprint(config):
            return None
        return "the configuration has changed since it began; evaluate again"

    def _caller(self) -> CallerContext:
        return CallerContext(
            request_id=self._evaluation.id,
            credential=Credential(self._evaluation.created_by, frozenset()),
            background=lambda work: work.close(),
            headers={},
            trace=continue_trace(None, self._services.new_hex),
            facts={},
        )

    async def _ask(self, name: str, target: Target, items: Sequence[Row]) -> bool:
        """Whether any of them came to something, be it an answer that is no use."""
        caller = self._caller()
        decided = await asyncio.gather(*(target.decide(item, caller) for item in items))
        answers = [answered(name, item, each) for item, each in zip(items, decided, strict=True)]
        advanced = not all(each.retryable for each in decided)
        self._to_ask_again |= any(each.retryable for each in decided)
        await self._record(answers, advanced=advanced)
        return advanced

    async def _record(self, answers: Sequence[store.Answered], *, advanced: bool) -> None:
        """Slices without an answer are counted until one has `advanced`."""
        recorded = store.record_answers(self._evaluation.id, answers)
        self._done += sum(not each.failed or each.tries >= MAX_TRIES for each in answers)
        await self._lease.advance(recorded, advanced=advanced, done=self._done, total=self._total)
        self._advanced |= advanced


def _failed(error: str) -> SliceOutcome:
    return SliceOutcome(
        state="failed", advanced=False, error=error_text("evaluation_failed", error)
    )
