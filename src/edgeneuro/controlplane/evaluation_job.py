"""An evaluation as a job: slice by slice, each written as it goes, so that a kill loses what was
under way alone. A question is asked anew only where asking failed."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from edgeneuro.classifier.model import InvalidModelError, loads
from edgeneuro.classifier.scorer import Scorer
from edgeneuro.controlplane.jobs import LostLeaseError, run_slice_of
from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.evaluation import DEFERRED, Evaluation
from edgeneuro.domain.model import Model
from edgeneuro.domain.prompt import PROMPT_VERSION
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.trace import continue_trace
from edgeneuro.services import Services
from edgeneuro.store import evaluation_jobs as store
from edgeneuro.store.classifiers import read_model
from edgeneuro.store.database import Row, Statement
from edgeneuro.store.evaluation_results import read_results
from edgeneuro.store.evaluations import MOST_TRIES
from edgeneuro.synapsecore.evaluate import Evaluated, answer_of_classifier, evaluate_question
from edgeneuro.synapsecore.record import Asker
from edgeneuro.web.auth import Credential

# Longer than a slice takes, with the longest time budget of its last questions.
LEASE_MS = 150_000
_SLICE_MS = 20_000
_PAUSE_SECONDS = 0.01  # other requests have their turn
# The cron fires every minute. A slice takes some 50 of the 1,000 queries of D1 that a run may make.
_RUN_MS, _MOST_SLICES_PER_RUN = 40_000, 8
_AT_A_TIME = 6  # a Worker has six connections
# A slice has so many questions: it takes two statements of D1 for six of them, and some 20 beside,
# which is within the 50 that the free plan allows a request.
_MOST_QUESTIONS = 72
_CLASSIFIER_QUESTIONS = 200  # that one statement records; some 50 ms of a classifier
_MOST_BARREN = (
    30  # slices in a row that came to nothing; with the pauses between them over two hours
)
# After questions that all failed: the model is out of breath, or passed over. Doubled each time.
_WAIT_MS, _LONGEST_WAIT_MS = 30_000, 300_000


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
    for _ in range(_MOST_SLICES_PER_RUN):
        if not await run_evaluation(services, evaluation_id) or services.now_ms() >= ends_at:
            return


class _Slice:
    def __init__(self, services: Services, held: store.Claim) -> None:
        self._services = services
        self._held = held
        self._ends_at = services.now_ms() + _SLICE_MS
        self._left = _MOST_QUESTIONS
        self._to_ask_again = False

    @property
    def _evaluation(self) -> Evaluation:
        return self._held.evaluation

    async def run(self) -> bool:
        services = self._services
        # What this isolate keeps may be older than the evaluation, and lack its agents and models.
        config = await services.routing.fresh()
        why = self._cannot_go_on(config)
        if why is not None:
            await self._write(self._finished("failed", error=why))
            return False
        # The threshold is that of the beginning.
        config = replace(config, confidence_threshold=self._evaluation.threshold)
        for model_id in self._evaluation.model_ids:
            if model_id in config.classifiers:
                try:
                    await self._ask_classifier(config, model_id)
                except InvalidModelError as error:
                    why = f"the classifier {model_id!r} cannot be used: {error}"
                    await self._write(self._finished("failed", error=why))
                    return False
                continue
            pause_ms = await self._ask_model(config, config.models[model_id])
            if pause_ms is not None:
                await self._let_go(pause_ms)
                return not pause_ms
        if self._to_ask_again:
            await self._let_go(_WAIT_MS)
            return False
        results = await read_results(services.db, self._evaluation.id, self._evaluation.model_ids)
        await self._write(self._finished("succeeded", results=results.model_dump_json()))
        return False

    async def _ask_model(self, config: RoutingConfig, model: Model) -> int | None:
        """Asks what is left to ask, each question once. Where that ends the slice: for how long
        (ms) nobody is to go on."""
        db, evaluation = self._services.db, self._evaluation
        items = await store.next_items(db, evaluation.id, model.id, limit=self._left)
        for at in range(0, len(items), _AT_A_TIME):
            if self._services.now_ms() >= self._ends_at:
                return 0
            if not await self._ask(config, model, items[at : at + _AT_A_TIME]):
                return int(min(_WAIT_MS * 2 ** (evaluation.tries - 1), _LONGEST_WAIT_MS))
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
                _classified(
                    classifier_id, item, answer_of_classifier(scorer, config, item["query"])
                )
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
        if evaluation.tries > _MOST_BARREN:
            return (
                f"{_MOST_BARREN} slices in a row came to nothing. GET"
                f" /v1/evaluations/{evaluation.id}/answers?wrong=true says why models gave no"
                " answer; mend that, then evaluate again"
            )
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

    async def _ask(self, config: RoutingConfig, model: Model, items: Sequence[Row]) -> bool:
        """Whether any of them came to something, be it an answer that is no use."""
        asker = Asker(
            request_id=self._evaluation.id,
            credential=Credential(self._evaluation.created_by, frozenset()),
            background=lambda work: work.close(),
            headers={},
            trace=continue_trace(None, self._services.new_hex),
            facts={},
        )
        decided = await asyncio.gather(
            *(
                evaluate_question(self._services, config, model, item["query"], asker)
                for item in items
            )
        )
        answers = [_answered(model, item, each) for item, each in zip(items, decided, strict=True)]
        got_on = not all(each.may_pass for each in decided)
        self._to_ask_again |= any(each.may_pass for each in decided)
        writes = store.record_answers(self._held, answers, got_on=got_on)
        if not (await self._services.db.batch(writes))[-1]:
            raise LostLeaseError
        return got_on

    def _finished(
        self, state: str, *, error: str | None = None, results: str | None = None
    ) -> Statement:
        now = self._services.now_ms()
        return store.finish(self._held, state, now_ms=now, error=error, results=results)

    async def _write(self, update: Statement) -> None:
        if not await self._services.db.run(update):
            raise LostLeaseError


def _classified(classifier_id: str, item: Row, answer: str | None) -> store.Answered:
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
    )


def _answered(model: Model, item: Row, decided: Evaluated) -> store.Answered:
    return store.Answered(
        model_id=model.id,
        query_hash=item["query_hash"],
        agent_id=decided.agent_id,
        is_right=not decided.failed
        and (decided.agent_id or NO_AGENT) == (item["agent_id"] or NO_AGENT),
        reason=decided.reason,
        failed=decided.failed,
        tries=1 if decided.may_pass else MOST_TRIES,
        tokens=decided.tokens,
        cost_usd=decided.cost_usd,
        ms=decided.ms,
    )
