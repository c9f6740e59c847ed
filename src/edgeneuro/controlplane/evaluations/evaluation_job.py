"""An evaluation as a job: slice by slice, each written as it goes, so that a kill loses what was
under way alone. A question is asked anew only where asking failed."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from pydantic import BaseModel

from edgeneuro.classifier.model import InvalidModelError, loads
from edgeneuro.classifier.scorer import Prediction, Scorer
from edgeneuro.controlplane.evaluations.evaluation_targets import (
    Target,
    answered,
    pipeline_target,
    proposal_named,
    propose,
)
from edgeneuro.controlplane.jobs.jobs import LostLeaseError, run_slice_of
from edgeneuro.domain.evaluation import DEFERRED, Evaluation
from edgeneuro.domain.prompt import PROMPT_VERSION
from edgeneuro.domain.proposal import Proposal, fingerprint
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.trace import continue_trace
from edgeneuro.errors import ConflictError, InvalidRequestError
from edgeneuro.services import Services
from edgeneuro.store import evaluation_jobs as store
from edgeneuro.store.classifiers import read_model
from edgeneuro.store.database import Row, Statement
from edgeneuro.store.evaluation_details import read_details, read_label_set
from edgeneuro.store.evaluation_results import read_results
from edgeneuro.store.routing_tests import read_outcome
from edgeneuro.synapsecore.rankers.classifier import classifier_decision
from edgeneuro.synapsecore.turn import CallerContext
from edgeneuro.web.auth import Credential

# Longer than a slice takes, with the longest time budget of its last questions.
LEASE_MS = 150_000
_SLICE_MS = 20_000
_PAUSE_SECONDS = 0.01  # other requests have their turn
# The cron fires every minute. A slice takes some 50 of the 1,000 queries of D1 that a run may make.
_RUN_MS, _MAX_SLICES_PER_RUN = 40_000, 8
_AT_A_TIME = 6  # a Worker has six connections
# A slice has so many questions: it takes two statements of D1 for six of them, and some 20 beside,
# which is within the 50 that the free plan allows a request.
_MAX_QUESTIONS = 72
_CLASSIFIER_QUESTIONS = 200  # that one statement records; some 50 ms of a classifier
_MAX_BARREN = (
    30  # slices in a row that came to nothing; with the pauses between them over two hours
)
# After questions that all failed: the model is out of breath, or passed over. Doubled each time.
_WAIT_MS, _MAX_WAIT_MS = 30_000, 300_000


async def run_evaluation(services: Services, evaluation_id: str) -> bool:
    """Makes the evaluation's next slice, if no other run holds it. Returns whether the next one may
    follow at once; raises nothing."""

    async def make_slice(now_ms: int, until_ms: int) -> bool:
        held = await store.claim(services.db, evaluation_id, now_ms=now_ms, until_ms=until_ms)
        return held is not None and await _Slice(services, held).run()

    return await run_slice_of(services, "evaluations", evaluation_id, make_slice, lease_ms=LEASE_MS)


async def run_slices(services: Services, evaluation_id: str) -> None:
    """Makes slices until the next run of the cron is due."""
    ends_at = services.now_ms() + _RUN_MS
    for _ in range(_MAX_SLICES_PER_RUN):
        if not await run_evaluation(services, evaluation_id) or services.now_ms() >= ends_at:
            return


class _CannotGoOnError(Exception):
    """Why the evaluation has to end; the text is its error."""


class _Slice:
    def __init__(self, services: Services, held: store.Claim) -> None:
        self._services = services
        self._held = held
        self._ends_at = services.now_ms() + _SLICE_MS
        self._left = _MAX_QUESTIONS
        self._to_ask_again = False

    @property
    def _evaluation(self) -> Evaluation:
        return self._held.evaluation

    async def run(self) -> bool:
        services = self._services
        # What this isolate keeps may be older than the evaluation, and lack its agents and models.
        config = await services.routing.fresh()
        try:
            targets = await self._targets(config)
        except _CannotGoOnError as error:
            await self._write(self._failed(str(error)))
            return False
        for name, target in targets.items():
            if target is None:
                continue
            pause_ms = await self._ask_target(name, target)
            if pause_ms is not None:
                await self._let_go(pause_ms)
                return not pause_ms
        if self._to_ask_again:
            await self._let_go(_WAIT_MS)
            return False
        await self._succeed(config)
        return False

    async def _succeed(self, config: RoutingConfig) -> None:
        db, evaluation = self._services.db, self._evaluation
        results: BaseModel
        details, label_set = None, None
        if self._held.of_tests:
            results = await read_outcome(db, evaluation.id)
        else:
            results = await read_results(db, evaluation.id, evaluation.model_ids)
            label_set = await read_label_set(db, evaluation.id)
            default = config.default_agent
            falls_back = config.on_no_fit == "fallback" and default is not None
            details = await read_details(
                db,
                evaluation.id,
                evaluation.model_ids,
                deferring=list(config.classifiers) if evaluation.target == "models" else [],
                stands_in=default.id if falls_back and default is not None else None,
                pause=lambda: self._services.sleep(_PAUSE_SECONDS),
            )
        await self._write(
            store.finish(
                self._held,
                "succeeded",
                now_ms=self._services.now_ms(),
                results=results.model_dump_json(),
                details=None if details is None else details.model_dump_json(),
                label_set=label_set,
            )
        )

    async def _targets(self, config: RoutingConfig) -> dict[str, Target | None]:
        """By id; None for a classifier, which has answered everything at once. Raises
        _CannotGoOnError."""
        why = self._cannot_go_on(config)
        if why is not None:
            raise _CannotGoOnError(why)
        evaluation, services = self._evaluation, self._services
        targets: dict[str, Target | None] = {}
        if evaluation.target == "pipeline":
            for name in evaluation.model_ids:
                targets[name] = await self._pipeline(config, name)
            return targets
        # The threshold is that of the beginning.
        config = replace(config, confidence_threshold=evaluation.threshold)
        for name in evaluation.model_ids:
            targets[name] = None
            if name in config.classifiers:
                try:
                    await self._ask_classifier(config, name)
                except InvalidModelError as error:
                    raise _CannotGoOnError(
                        f"the classifier {name!r} cannot be used: {error}"
                    ) from error
            else:
                targets[name] = Target(services, config, model=config.models[name])
        return targets

    async def _pipeline(self, config: RoutingConfig, name: str) -> Target:
        held, services = self._held, self._services
        changes = held.proposal.get("changes") if held.of_tests else None
        if changes is None:
            proposal = proposal_named(config, name)
        else:
            proposal = Proposal.model_validate(changes)
        try:
            proposed = await propose(services, config, proposal)
        except (InvalidRequestError, ConflictError) as error:
            raise _CannotGoOnError(
                f"the configuration cannot be tried any more: {error}"
            ) from error
        if held.of_tests and fingerprint(proposed) != held.proposal["fingerprint"]:
            raise _CannotGoOnError("the configuration has changed since it began; run it again")
        label_layer = held.evaluation.label_layer
        try:
            return await pipeline_target(services, proposed, label_layer=label_layer)
        except InvalidModelError as error:
            raise _CannotGoOnError(
                f"the classifier {proposed.classifier!r} cannot be used: {error}"
            ) from error

    async def _ask_target(self, name: str, target: Target) -> int | None:
        """Asks what is left to ask, each question once. Where that ends the slice: for how long
        (ms) nobody is to go on."""
        db, evaluation = self._services.db, self._evaluation
        items = await store.next_items(db, evaluation.id, name, limit=self._left)
        await target.prepare(items, self._caller())
        for at in range(0, len(items), _AT_A_TIME):
            if self._services.now_ms() >= self._ends_at:
                return 0
            if not await self._ask(name, target, items[at : at + _AT_A_TIME]):
                return int(min(_WAIT_MS * 2 ** (evaluation.tries - 1), _MAX_WAIT_MS))
        self._left -= len(items)
        return None if self._left else 0

    async def _ask_classifier(self, config: RoutingConfig, classifier_id: str) -> None:
        """All that is left to ask: no question waits for anybody. Raises InvalidModelError."""
        db, evaluation = self._services.db, self._evaluation
        scorer: Scorer | None = None
        while items := await store.next_items(
            db, evaluation.id, classifier_id, limit=_CLASSIFIER_QUESTIONS
        ):
            if scorer is None:
                scorer = Scorer(loads(await read_model(db, classifier_id)))
            answers = [
                _classified(classifier_id, item, scorer.predict(item["query"]), config)
                for item in items
            ]
            if not (await db.batch(store.record_answers(self._held, answers, got_on=True)))[-1]:
                raise LostLeaseError
            await self._services.sleep(_PAUSE_SECONDS)

    async def _let_go(self, pause_ms: int) -> None:
        until = self._services.now_ms() + pause_ms if pause_ms else 0
        await self._write(store.let_go(self._held, until_ms=until))

    def _cannot_go_on(self, config: RoutingConfig) -> str | None:
        evaluation = self._evaluation
        if evaluation.tries > _MAX_BARREN:
            return (
                f"{_MAX_BARREN} slices in a row came to nothing. GET"
                f" /v1/evaluations/{evaluation.id}/answers?wrong=true says why models gave no"
                " answer; mend that, then evaluate again"
            )
        if evaluation.target == "pipeline":
            return self._pipeline_has_changed(config)
        begun = (evaluation.agents_revision, evaluation.prompt_version)
        if begun != (config.agents_revision, PROMPT_VERSION):
            return "the agents have changed since it began; evaluate again"
        gone = [
            each
            for each in evaluation.model_ids
            if each not in config.classifiers
            and (each not in config.models or config.models[each].status != "available")
        ]
        return f"the model {gone[0]!r} is no longer available" if gone else None

    def _pipeline_has_changed(self, config: RoutingConfig) -> str | None:
        """A run of tests compares what it proposes instead."""
        held = self._held
        if held.of_tests or held.proposal["fingerprint"] == fingerprint(config):
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
        got_on = not all(each.retryable for each in decided)
        self._to_ask_again |= any(each.retryable for each in decided)
        writes = store.record_answers(self._held, answers, got_on=got_on)
        if not (await self._services.db.batch(writes))[-1]:
            raise LostLeaseError
        return got_on

    def _failed(self, error: str) -> Statement:
        return store.finish(self._held, "failed", now_ms=self._services.now_ms(), error=error)

    async def _write(self, update: Statement) -> None:
        if not await self._services.db.run(update):
            raise LostLeaseError


def _classified(
    classifier_id: str, item: Row, prediction: Prediction, config: RoutingConfig
) -> store.Answered:
    answer = classifier_decision(prediction, config)
    return store.Answered(
        model_id=classifier_id,
        query_hash=item["query_hash"],
        agent_id=answer,
        is_right=answer is not None and answer == item["agent_id"],
        reason=DEFERRED if answer is None else None,
        failed=False,
        tries=1,
        tokens=0,
        cost_usd=0.0,
        ms=0.0,
        named_agent=prediction.agent_id,
        confidence=prediction.probability,
        layer="classifier",
    )
