"""The table `candidate_answers`: what a model beside the active one would have decided."""

from edgeneuro.domain.evaluation import PairResult
from edgeneuro.domain.model import ShadowSide, ShadowState
from edgeneuro.domain.routing import Shadow
from edgeneuro.domain.statistics import mcnemar_worse
from edgeneuro.store.database import Database, Rows, Statement, statement
from edgeneuro.store.evaluation_results import compared
from edgeneuro.store.percentiles import exact_percentiles
from edgeneuro.store.purge import PURGE_CHUNK, purge_in_chunks
from edgeneuro.store.times import rfc3339

# Both by the same measure, that of evaluations: where a model gave no answer, the agent that stood
# in is none of its merit.
_ACTIVE_RIGHT = (
    "CASE WHEN label.agent_id IS NULL THEN coalesce(logs.reason, '') = 'out_of_scope'"
    " OR (logs.agent_id IS NULL AND coalesce(logs.reason, '') = 'low_confidence')"
    " ELSE coalesce(logs.agent_id, '') = label.agent_id"
    " AND coalesce(logs.reason, 'low_confidence') = 'low_confidence' END"
)
_CANDIDATE_RIGHT = (
    "candidate.failed = 0 AND coalesce(candidate.agent_id, '') = coalesce(label.agent_id, '')"
)

_ANSWERS = "candidate_answers AS candidate JOIN logs ON logs.id = candidate.log_id"
_SINCE = "candidate.model_id = ?1 AND candidate.created_at >= ?2"


def insert_candidate(
    log_id: str,
    *,
    created_ms: int,
    model_id: str,
    agent_id: str | None,
    reason: str | None,
    failed: bool,
    agrees: bool,
    cost_usd: float | None,
    ms: float,
) -> Statement:
    """`created_ms` is the answer's time."""
    return statement(
        "INSERT INTO candidate_answers (log_id, created_at, model_id, agent_id, reason, failed,"
        " agrees, cost_usd, ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
        " ON CONFLICT (log_id) DO NOTHING",
        log_id,
        created_ms,
        model_id,
        agent_id,
        reason,
        int(failed),
        int(agrees),
        cost_usd,
        ms,
    )


async def delete_candidates_before(db: Database, moment_ms: int, *, max_chunks: int = 50) -> int:
    """Those whose log row was never written; the others go with it. Returns how many."""
    chunk = statement(
        "DELETE FROM candidate_answers WHERE log_id IN (SELECT log_id FROM candidate_answers"
        " WHERE created_at < ?1 LIMIT ?2) RETURNING 1 AS gone",
        moment_ms,
        PURGE_CHUNK,
    )
    return await purge_in_chunks(db, chunk, max_chunks=max_chunks)


async def compare(
    db: Database, shadow: Shadow, *, active: str, min_labels: int
) -> tuple[ShadowState, PairResult]:
    """The candidate beside the active model so far; of the pair the active one is the first. Each
    labelled question is one pair, by its first answer: a question that is asked often, or in
    several spellings, must not decide a promotion alone."""
    [row], active_ms, candidate_ms = await db.batch(
        [_comparison(shadow), _times(shadow, "active_ms"), _times(shadow, "ms")]
    )
    pair = compared(
        active,
        shadow.model_id,
        n=row["labelled"] or 0,
        only_first=row["only_active"] or 0,
        only_second=row["only_candidate"] or 0,
    )
    both = row["both"] or 0
    state = ShadowState(
        model_id=shadow.model_id,
        percent=shadow.percent,
        since=rfc3339(shadow.since_ms),
        after_rule=shadow.after_rule,
        compared=row["compared"],
        agree=row["agree"] or 0,
        failed=row["failed"] or 0,
        cost_usd=None if row["unpriced"] else row["cost_usd"] or 0.0,
        labelled=pair.n,
        active=_side(active, both + pair.only_first, active_ms),
        candidate=_side(shadow.model_id, both + pair.only_second, candidate_ms),
        difference=pair.difference,
        low=pair.low,
        high=pair.high,
        p_better=mcnemar_worse(pair.only_second, pair.only_first),
        p_worse=pair.p_second_worse,
        labels_wanted=max(0, min_labels - pair.n),
    )
    return state, pair


def _comparison(shadow: Shadow) -> Statement:
    return statement(
        f"WITH answers AS (SELECT candidate.*, label.near_hash, {_ACTIVE_RIGHT} AS active_right,"
        f" {_CANDIDATE_RIGHT} AS candidate_right FROM {_ANSWERS}"
        " LEFT JOIN current_labels AS label ON label.query_hash = logs.query_hash"
        f" WHERE {_SINCE}),"
        # With min() SQLite takes the other columns from the row of the minimum.
        " pairs AS (SELECT min(log_id), active_right, candidate_right FROM answers"
        " WHERE near_hash IS NOT NULL GROUP BY near_hash),"
        " sums AS (SELECT count(*) AS labelled, sum(active_right AND candidate_right) AS both,"
        " sum(active_right AND NOT candidate_right) AS only_active,"
        " sum(candidate_right AND NOT active_right) AS only_candidate FROM pairs)"
        " SELECT sums.*, count(*) AS compared, sum(agrees) AS agree, sum(failed) AS failed,"
        " sum(cost_usd) AS cost_usd, coalesce(sum(cost_usd IS NULL), 0) AS unpriced"
        " FROM answers, sums",
        shadow.model_id,
        shadow.since_ms,
    )


def _times(shadow: Shadow, column: str) -> Statement:
    # The time of a chat's row is that of its answer too.
    answers = (
        "(SELECT candidate.ms, CASE WHEN logs.kind = 'route' THEN logs.upstream_ms END AS active_ms"
        f" FROM {_ANSWERS} WHERE {_SINCE})"
    )
    return statement(exact_percentiles(column, answers), shadow.model_id, shadow.since_ms)


def _side(model_id: str, right: int, times: Rows) -> ShadowSide:
    found = times[0] if times else {"p50": None, "p95": None}
    return ShadowSide(model_id=model_id, right=right, p50_ms=found["p50"], p95_ms=found["p95"])
