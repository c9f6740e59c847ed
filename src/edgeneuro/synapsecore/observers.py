"""Observers: what else is made of a decision. Each one gets the same result, with the turn, the
ranking of each stage and the decision. It is called at once, so that a cached ranking is there for
the next request, and does not wait: work that takes time runs in the background, after the answer
is sent. It returns what is to be written to D1 with the decision's log row."""

from collections.abc import Callable
from dataclasses import replace

from edgeneuro.domain.model import Model
from edgeneuro.domain.prompt import prompt_version
from edgeneuro.errors import DatabaseError
from edgeneuro.store.additions import Addition
from edgeneuro.store.comparisons import (
    add_audit_sample,
    compared_calibrations,
    insert_audit_sample,
    insert_challenger_answer,
)
from edgeneuro.store.database import Statement
from edgeneuro.synapsecore.decision_log import count_model_call
from edgeneuro.synapsecore.measure import measure
from edgeneuro.synapsecore.policy import UNDETERMINED
from edgeneuro.synapsecore.rankers.cache import cache_put
from edgeneuro.synapsecore.ranking import Ranking
from edgeneuro.synapsecore.router import EMBEDDING, MODEL, SHORTLIST, RoutingResult, run_pipeline
from edgeneuro.synapsecore.sampling import sampled
from edgeneuro.synapsecore.shortlist import best_agents
from edgeneuro.synapsecore.turn import Purpose, Turn
from edgeneuro.synapsecore.watch import sample_share, store_sample

_MIN_SCORE = 0.5  # below it, the classifier prefers no agent


def cache_ranking(result: RoutingResult) -> Addition | None:
    """Caches the active model's ranking. A fallback model's is not cached: it would still be used
    when the active model works again."""
    turn, ranking = result.turn, result.model_ranking
    if not turn.cache or ranking is None or result.call.failure is not None:
        return None
    return cache_put(turn, ranking)


def audit_by_model(result: RoutingResult) -> None:
    """A second opinion on the classifier, and on the second one that belongs to it: the active
    model is called once, in the background, if this decision of theirs is in the sample. No key is
    charged for it, and a key with a budget has none."""
    turn, decided = result.turn, result.decision.ranking
    if decided is None or not _may_compare(turn):
        return
    is_theirs = _decided_by_classifier(result) or decided.source.layer == EMBEDDING.layer
    if is_theirs and sampled(turn.id, sample_share(turn.config)):
        turn.caller.background(_audit(result, decided))


async def _audit(result: RoutingResult, decided: Ranking) -> None:
    turn, classifier = result.turn, result.classifier
    # Of all agents: the classifier must not choose what its own decision is compared with.
    whole = replace(turn, offered=None)
    second = await run_pipeline(_compared(whole, turn.models[0], "audit_sample"), (MODEL,))
    count_model_call(turn.services.metrics, second.call)
    opinion = second.model_ranking
    if opinion is None or classifier is None:
        return
    agrees = opinion.best == decided.best
    sample = insert_audit_sample(
        turn.id,
        created_ms=turn.created_ms,
        layer="llm",
        agent_id=opinion.best,
        confidence=opinion.confidence,
        agrees=agrees,
    )
    try:
        await store_sample(
            turn.services,
            turn.config,
            sample,
            log_id=turn.id,
            classifier_id=classifier.source.model or "",
            agrees=agrees,
        )
    except DatabaseError as error:
        turn.services.failures.note("audit_sample_write", error)


def audit_by_classifier(result: RoutingResult) -> Addition | None:
    """The classifier's opinion on a query that the model has decided: of a sample, and of all on
    which they differ, up to 60 a minute. It was asked before the model, so it costs nothing."""
    turn, classifier, ranking = result.turn, result.classifier, result.model_ranking
    if classifier is None or ranking is None or _decided_by_classifier(result):
        return None
    score = classifier.confidence or 0.0
    agrees = ranking.best == classifier.best
    if score < _MIN_SCORE:
        return None
    if not sampled(turn.id, turn.config.audit_sample_share) and (
        agrees or not turn.services.differing_samples.take()
    ):
        return None
    return add_audit_sample(
        turn.id,
        created_ms=turn.created_ms,
        agent_id=classifier.best,
        confidence=score,
        agrees=agrees,
    )


def ask_challenger(result: RoutingResult) -> None:
    """For a share of the active model's decisions the challenger is asked too, in the background,
    and its decision is stored. Only if the active model itself was called for this decision; no key
    is charged for it, and it is never asked for a key with a budget."""
    turn, config = result.turn, result.turn.config
    challenger = config.challenger
    if challenger is None or turn.model_named or not _may_compare(turn):
        return
    if result.decision.reason in UNDETERMINED:
        return
    model = config.models.get(challenger.model_id)
    active = (config.active.base_model, config.active.adapter)
    first = result.call.attempts[0] if result.call.attempts else None
    called = first is not None and (first.model, first.adapter) == active
    ranking = result.decision.ranking
    source = None if ranking is None else ranking.source
    by_active = source is None or (source.model, source.adapter) == active
    if model is None or model.status != "available" or not called or not by_active:
        return
    if sampled(turn.id, challenger.percent / 100):
        turn.caller.background(_challenge(result, model))


async def _challenge(result: RoutingResult, model: Model) -> None:
    turn = result.turn
    # The same question as the active model got, so that cost and time can be compared.
    other = await measure(_compared(turn, model, "challenger"), (SHORTLIST, MODEL))
    write = insert_challenger_answer(
        turn.id,
        created_ms=turn.created_ms,
        model_id=model.id,
        prompt_version=prompt_version(model.type),
        agent_id=other.agent_id,
        reason=other.reason,
        failed=other.failed,
        agrees=not other.failed and other.agent_id == result.decision.agent_id,
        cost_usd=other.cost_usd,
        ms=other.ms,
        calibrations=compared_calibrations(turn.config, model.id),
    )
    await _write(turn, write, "challenger_write")


def check_shortlist(result: RoutingResult) -> None:
    """Counts whether the agent that a model chose among all is one of those that a shorter question
    offers: of a sample of decisions without one, and of those that one left open."""
    turn, ranking, classifier = result.turn, result.model_ranking, result.classifier
    loaded = turn.shortlisted_by
    if loaded is None or loaded.shortlist is None or loaded.shortlist.agents is None:
        return
    if classifier is None or ranking is None or ranking.offered or ranking.best is None:
        return
    report = loaded.shortlist
    best = best_agents(turn, report, loaded.shortlist.agents, classifier.probabilities)
    kind = "sample" if result.stage(SHORTLIST) is None else "left_open"
    held = any(agent.id == ranking.best for agent in best)
    turn.services.metrics.shortlist_checks.add(1, kind, "yes" if held else "no")


def note_model_cost(result: RoutingResult) -> None:
    """What a decision of the model takes, which the embedding stage may save."""
    ranking, gain = result.model_ranking, result.turn.services.embedding_gain
    for stage in result.stages:
        if ranking is not None and stage.ranking is ranking and ranking.call is not None:
            gain.note_model(ms=stage.ms, usd=ranking.call.cost_usd)


# In this order; the log row comes after them, since it is written together with what they return.
OBSERVERS: tuple[Callable[[RoutingResult], Addition | None], ...] = (
    ask_challenger,
    cache_ranking,
    audit_by_model,
    audit_by_classifier,
    check_shortlist,
    note_model_cost,
)


def observe(result: RoutingResult) -> list[Addition]:
    """Runs the observers; returns their writes, for the batch of the log row."""
    written = [observer(result) for observer in OBSERVERS]
    return [addition for addition in written if addition is not None]


def _decided_by_classifier(result: RoutingResult) -> bool:
    ranking = result.decision.ranking
    return ranking is not None and ranking is result.classifier


def _may_compare(turn: Turn) -> bool:
    """With models withheld, the chain may begin with another model than the active one. A decision
    that replaces another one is easier: a wrong agent is out already."""
    if turn.rerouted_from is not None:
        return False
    limits = turn.caller.credential.limits
    return not (limits is not None and limits.has_budget) and not turn.config.withheld


def _compared(turn: Turn, model: Model, purpose: Purpose) -> Turn:
    """The same turn for one call of one model, without any cache. What is compared is who is
    best."""
    config = replace(turn.config, max_retries=0)
    return turn.variant(
        models=(model,), config=config, cache=False, purpose=purpose, clarify=False, several=False
    )


async def _write(turn: Turn, statement: Statement, failure: str) -> None:
    try:
        await turn.services.db.run(statement)
    except DatabaseError as error:
        turn.services.failures.note(failure, error)
