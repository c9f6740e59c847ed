"""Second opinions on logged answers: the tables `audit_samples` and `challenger_answers`."""

import json
from collections.abc import Sequence
from typing import Literal

from edgeneuro.domain.model import OWN_PROVIDER, Challenger, ChallengerSide, ChallengerState, Model
from edgeneuro.domain.prompt import prompt_version
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.statistics import mcnemar_worse
from edgeneuro.store.additions import NEW_ANSWERS, Addition, added_values
from edgeneuro.store.database import Database, Rows, Statement, statement
from edgeneuro.store.evaluation_results import compared
from edgeneuro.store.sql import LOG_KIND, PURGE_CHUNK, exact_percentiles, purge_in_chunks, rfc3339


def insert_audit_sample(
    log_id: str,
    *,
    created_ms: int,
    layer: Literal["classifier", "llm"],
    agent_id: str | None,
    confidence: float | None,
    agrees: bool,
) -> Statement:
    """`created_ms` is the answer's time, so that both belong to the same hour. The layer "llm" is
    the active model, of whatever type. The column `confidence` cannot be null: 0 stands for one
    that is unknown."""
    return statement(
        "INSERT INTO audit_samples (log_id, created_at, layer, agent_id, confidence, agrees)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (log_id) DO NOTHING",
        log_id,
        created_ms,
        layer,
        agent_id,
        confidence or 0.0,
        int(agrees),
    )


ADD_AUDIT_SAMPLES = (
    "INSERT INTO audit_samples (log_id, created_at, layer, agent_id, confidence, agrees)"
    f" SELECT {added_values(6)} FROM {NEW_ANSWERS} WHERE true ON CONFLICT (log_id) DO NOTHING"
)


def add_audit_sample(
    log_id: str,
    *,
    created_ms: int,
    agent_id: str | None,
    confidence: float,
    agrees: bool,
) -> Addition:
    """The classifier's opinion, with the log row of the answer."""
    values = (log_id, created_ms, "classifier", agent_id, confidence, int(agrees))
    return Addition("audit_sample", values)


def select_differing(log_ids: Sequence[str]) -> Statement:
    """The audit samples and the challenger's answers that differ from these decisions."""
    return statement(
        "SELECT log_id, agent_id FROM audit_samples WHERE agrees = 0"
        " AND log_id IN (SELECT value FROM json_each(?1)) UNION ALL"
        " SELECT log_id, agent_id FROM challenger_answers WHERE agrees = 0 AND failed = 0"
        " AND log_id IN (SELECT value FROM json_each(?1))",
        json.dumps(log_ids),
    )


def count_audit_samples(start: int, stop: int) -> Statement:
    """How many of the classifier's decisions the model was asked about, and how often it differed.
    The classifier's second opinions on the model are not counted: of these all that differ are
    stored, so they are not a random sample."""
    return statement(
        "SELECT count(*) AS compared, coalesce(sum(agrees = 0), 0) AS differing"
        " FROM audit_samples WHERE created_at >= ?1 AND created_at < ?2 AND layer = 'llm'",
        start,
        stop,
    )


# The table `challenger_answers`: what the challenger would have decided.

# Both are measured as in evaluations: if a model gave no answer, the fallback agent does not count
# in its favor.
_ACTIVE_RIGHT = (
    "CASE WHEN label.agent_id IS NULL THEN coalesce(logs.reason, '') = 'out_of_scope'"
    " OR (logs.agent_id IS NULL AND coalesce(logs.reason, '') = 'low_confidence')"
    " ELSE coalesce(logs.agent_id, '') = label.agent_id"
    " AND coalesce(logs.reason, 'low_confidence') = 'low_confidence' END"
)
_CHALLENGER_RIGHT = (
    "challenger.failed = 0 AND coalesce(challenger.agent_id, '') = coalesce(label.agent_id, '')"
)

# The rules require this many times as many labels if one person gave them all.
SOLO_FACTOR = 2
_MIN_LABELERS = 2
_ANSWERS = "challenger_answers AS challenger JOIN logs ON logs.id = challenger.log_id"
_SINCE = "challenger.model_id = ?1 AND challenger.created_at >= ?2"
# Answers from before a change of the agents, the prompt, the threshold, a calibration or the active
# model say nothing about what would be decided now.
_PRESENT = (
    "(logs.agents_revision = ?3 AND logs.prompt_version = ?4 AND logs.threshold = ?5"
    " AND logs.attempts ->> '$[0].model' = ?6 AND logs.attempts ->> '$[0].adapter' IS ?7"
    # Older answers are of models that had the same prompt as the active one.
    " AND coalesce(challenger.prompt_version, logs.prompt_version) = ?8"
    " AND challenger.calibrations IS ?9)"
)


def insert_challenger_answer(
    log_id: str,
    *,
    created_ms: int,
    model_id: str,
    prompt_version: str,
    agent_id: str | None,
    reason: str | None,
    failed: bool,
    agrees: bool,
    cost_usd: float | None,
    ms: float,
    calibrations: str | None,
) -> Statement:
    """`created_ms` is the answer's time, `prompt_version` that of what the challenger was asked,
    and `calibrations` is compared_calibrations() then."""
    return statement(
        "INSERT INTO challenger_answers (log_id, created_at, model_id, agent_id, reason, failed,"
        " agrees, cost_usd, ms, prompt_version, calibrations)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
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
        prompt_version,
        calibrations,
    )


def compared_calibrations(config: RoutingConfig, challenger_id: str) -> str | None:
    """The versions of the calibrations in force for the active model and the challenger; None if
    neither has one."""
    versions = [config.calibration_version(each) for each in (config.active.id, challenger_id)]
    return " ".join(each or "-" for each in versions) if any(versions) else None


async def delete_challenger_answers_before(
    db: Database, moment_ms: int, *, max_chunks: int = 50
) -> int:
    """Those whose log row was never written; the others go with it. Returns how many."""
    chunk = statement(
        "DELETE FROM challenger_answers WHERE log_id IN (SELECT log_id FROM challenger_answers"
        " WHERE created_at < ?1 LIMIT ?2) RETURNING 1 AS gone",
        moment_ms,
        PURGE_CHUNK,
    )
    return await purge_in_chunks(db, chunk, max_chunks=max_chunks)


async def compare(db: Database, config: RoutingConfig, challenger: Challenger) -> ChallengerState:
    """The challenger's results so far; the active model is the first of the pair. Each labeled
    question is one pair, by its first answer: a question that is asked often, or in several
    spellings, must not decide a promotion alone."""
    active = config.active
    model = config.models.get(challenger.model_id)
    prompt, other_prompt = (prompt_version((each or active).type) for each in (active, model))
    present = (
        *(challenger.model_id, challenger.since_ms, config.agents_revision, prompt),
        *(config.confidence_threshold, active.base_model, active.adapter, other_prompt),
        compared_calibrations(config, challenger.model_id),
    )
    learned = _may_have_learned(active) or _may_have_learned(model)
    [row], active_ms, challenger_ms = await db.batch(
        [
            statement(_COMPARISON, *present, int(learned), json.dumps(list(config.agents))),
            *(statement(_times(column), *present) for column in ("active_ms", "ms")),
        ]
    )
    pair = compared(
        active.id,
        challenger.model_id,
        n=row["labelled"] or 0,
        only_first=row["only_active"] or 0,
        only_second=row["only_challenger"] or 0,
    )
    both, labelers = row["both"] or 0, row["labelers"] or 0
    return ChallengerState(
        model_id=challenger.model_id,
        percent=challenger.percent,
        since=rfc3339(challenger.since_ms),
        after_rule=challenger.after_rule,
        compared=row["compared"],
        outdated=row["outdated"] or 0,
        agree=row["agree"] or 0,
        failed=row["failed"] or 0,
        cost_usd=None if row["unpriced"] else row["cost_usd"] or 0.0,
        labelled=pair.n,
        trained=row["trained"],
        labelers=labelers,
        active=_side(active.id, both + pair.only_first, active_ms, row["active_cost"]),
        challenger=_side(
            challenger.model_id, both + pair.only_second, challenger_ms, row["challenger_cost"]
        ),
        difference=pair.difference,
        low=pair.low,
        high=pair.high,
        p_better=mcnemar_worse(pair.only_second, pair.only_first),
        p_worse=pair.p_second_worse,
        labels_wanted=max(0, labels_needed(config, labelers) - pair.n),
        notice=challenger.notice,
    )


def labels_needed(config: RoutingConfig, labelers: int) -> int:
    """How many labeled questions the rules require."""
    factor = 1 if labelers >= _MIN_LABELERS else SOLO_FACTOR
    return factor * config.promotion_min_labels


def _may_have_learned(model: Model | None) -> bool:
    """Whether the model may have been trained on labels: an adapter is trained on an export, and a
    vendor's training data is not known."""
    return model is None or model.type == "lora" or model.provider != OWN_PROVIDER


_COMPARISON = (
    f"WITH answers AS (SELECT challenger.*, {_PRESENT} AS present, {LOG_KIND} AS kind,"
    " label.near_hash, label.labeler, label.split = 'train' AND ?10 AS trained,"
    f" {_ACTIVE_RIGHT} AS active_right, {_CHALLENGER_RIGHT} AS challenger_right,"
    # The cost of a chat's row is that of its answer too.
    f" iif({LOG_KIND} = 'route', logs.cost_usd, NULL) AS active_cost"
    f" FROM {_ANSWERS} LEFT JOIN current_labels AS label ON label.query_hash = logs.query_hash"
    " AND (label.agent_id IS NULL OR label.agent_id IN (SELECT value FROM json_each(?11)))"
    f" WHERE {_SINCE}),"
    " counted AS (SELECT * FROM answers WHERE present),"
    # With min() SQLite takes the other columns from the row of the minimum.
    " pairs AS (SELECT min(log_id), active_right, challenger_right, labeler FROM counted"
    " WHERE near_hash IS NOT NULL AND NOT trained GROUP BY near_hash),"
    " sums AS (SELECT count(*) AS labelled, sum(active_right AND challenger_right) AS both,"
    " sum(active_right AND NOT challenger_right) AS only_active,"
    " sum(challenger_right AND NOT active_right) AS only_challenger,"
    " count(DISTINCT labeler) AS labelers FROM pairs)"
    " SELECT sums.*, count(*) AS compared, sum(agrees) AS agree, sum(failed) AS failed,"
    " sum(cost_usd) AS cost_usd, coalesce(sum(cost_usd IS NULL), 0) AS unpriced,"
    " count(DISTINCT iif(trained, near_hash, NULL)) AS trained,"
    " avg(active_cost) FILTER (WHERE cost_usd IS NOT NULL) AS active_cost,"
    " avg(cost_usd) FILTER (WHERE active_cost IS NOT NULL) AS challenger_cost,"
    " (SELECT count(*) FROM answers WHERE NOT present) AS outdated"
    " FROM counted, sums"
)


def _times(column: str) -> str:
    # The time of a chat's row is that of its answer too.
    answers = (
        "(SELECT challenger.ms,"
        f" CASE WHEN {LOG_KIND} = 'route' THEN logs.upstream_ms END AS active_ms"
        f" FROM {_ANSWERS} WHERE {_SINCE} AND {_PRESENT})"
    )
    return exact_percentiles(column, answers)


def _side(model_id: str, right: int, times: Rows, cost_usd: float | None) -> ChallengerSide:
    found = times[0] if times else {"p50": None, "p95": None}
    return ChallengerSide(
        model_id=model_id,
        right=right,
        mean_cost_usd=cost_usd,
        p50_ms=found["p50"],
        p95_ms=found["p95"],
    )
