"""Machine labels (domain/machine_label.py): which of the newest log rows are some, and their texts.

One statement looks at the newest rows of `logs` by their number, and no index is kept for it. A
training reads them, an answer would have to write to the index: D1 asks for one written row as much
as for a thousand that are read."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.machine_label import Candidate, Candidates
from edgeneuro.store.database import Database, Row, Rows, Statement, statement
from edgeneuro.store.log_filters import CONFIDENCE_SOURCE
from edgeneuro.store.signals import CONTRADICTED, CONTRADICTED_LOGS

MAX_LOOKED_AT = 100_000  # log rows, the newest
PAGE_TEXTS = 500


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Decisions of one router (None: the default one) for these agents, by one of the `models`
    (base model and adapter), whose confidence is at least `confidence` or unknown."""

    agents: Sequence[str]
    router: str | None
    models: Sequence[tuple[str, str | None]]
    confidence: float


_NEAR = "coalesce(logs.near_hash, logs.query_hash)"
_OWN_AGENT = "iif(logs.reason = 'out_of_scope', NULL, logs.agent_id)"


def _in_stages(fields: str) -> str:
    """Whether a stage has these fields. The JSON of older rows has blanks in it."""
    spaced = fields.replace('":', '": ').replace('",', '", ')
    return f"(instr(logs.stages, '{fields}') > 0 OR instr(logs.stages, '{spaced}') > 0)"


# The stage of the model has decided: not a cache, and not the classifier.
_BY_MODEL = _in_stages('"name":"model","outcome":"decided"')
_RULES = _in_stages('"rules":[')
_USABLE = (
    "logs.query <> '' AND logs.query_hash IS NOT NULL AND logs.status = 200"
    " AND logs.other_kind IS NULL AND logs.other_outcome IS NULL AND logs.router IS ?2"
)


def _decided(agent: str, confidence: str, model: str) -> str:
    return (
        f"SELECT logs.seq, {_NEAR} AS near, logs.key_id, logs.user, {agent} AS agent,"
        f" {confidence} IS NOT NULL AS stated, logs.context IS NOT NULL AS in_conversation,"
        f" {model} AS model,"
        f" CASE WHEN {confidence} < ?5 THEN 'low_confidence'"
        " WHEN logs.rerouted_from IS NOT NULL OR EXISTS (SELECT 1 FROM logs AS later"
        " WHERE later.rerouted_from = logs.id) THEN 'rerouted'"
        # The model could not choose the others, or a rule named it.
        " WHEN logs.candidates IS NOT NULL"
        f" OR {_RULES} THEN 'not_all_agents'"
        f" WHEN {agent} IS NOT NULL AND {agent} NOT IN (SELECT value FROM json_each(?3))"
        " THEN 'agent_not_enabled'"
        " WHEN logs.context IS NOT NULL AND coalesce(logs.context ->> 'previous_agent', '')"
        " NOT IN (SELECT value FROM json_each(?3)) THEN 'agent_before_unknown'"
        " WHEN EXISTS (SELECT 1 FROM current_labels c WHERE c.query_hash = logs.query_hash)"
        f" OR EXISTS (SELECT 1 FROM current_labels c WHERE c.near_hash = {_NEAR}) THEN 'labeled'"
        f" WHEN EXISTS (SELECT 1 FROM splits WHERE splits.near_hash = {_NEAR}"
        " AND splits.split = 'test') THEN 'test_part'"
        f" WHEN ({agent} IS {_OWN_AGENT} AND {CONTRADICTED})"
        f" OR ({_NEAR}, coalesce({agent}, '')) IN contradicted THEN 'contradicted' END AS why"
    )


_OF_LOGS = _decided(
    _OWN_AGENT,
    f"iif(coalesce({CONFIDENCE_SOURCE}, '') = 'none', NULL, logs.confidence)",
    # Its place among those that are wanted. The row of a chat names the model that wrote the
    # answer; in old rows attempts have no purpose.
    "CASE WHEN logs.kind = 'route' THEN (SELECT wanted.key FROM json_each(?4) AS wanted"
    " WHERE wanted.value = json_array(logs.model, logs.adapter)) ELSE"
    " (SELECT wanted.key FROM json_each(logs.attempts) AS attempt, json_each(?4) AS wanted"
    " WHERE coalesce(attempt.value ->> 'purpose', 'route') = 'route'"
    " AND attempt.value ->> 'outcome' = 'ok' AND wanted.value ="
    " json_array(attempt.value ->> 'model', attempt.value ->> 'adapter') LIMIT 1) END",
)
# The active model's second opinion on the classifier. 0 stands for an unknown confidence.
_OF_AUDIT_SAMPLES = _decided("sample.agent_id", "nullif(sample.confidence, 0)", "0")
_CANDIDATES = f"""
WITH start AS MATERIALIZED (
    SELECT max(seq) - ?1 AS seq, (SELECT created_at FROM logs
        WHERE seq > (SELECT max(seq) - ?1 FROM logs) ORDER BY seq LIMIT 1) AS created_at FROM logs
), contradicted AS MATERIALIZED (
    SELECT {_NEAR} AS near, coalesce({_OWN_AGENT}, '') AS agent
    FROM ({CONTRADICTED_LOGS}) AS said CROSS JOIN logs ON logs.id = said.log_id
), decided AS MATERIALIZED (
    {_OF_LOGS} FROM logs WHERE logs.seq > (SELECT seq FROM start) AND {_USABLE}
    AND (logs.layer IN ('llm', 'decision_model') AND coalesce(logs.reason, 'out_of_scope') =
        'out_of_scope' OR logs.reason = 'out_of_scope' AND {_BY_MODEL})
    UNION ALL
    {_OF_AUDIT_SAMPLES} FROM audit_samples AS sample CROSS JOIN logs ON logs.id = sample.log_id
    WHERE sample.layer = 'llm' AND sample.created_at >= (SELECT created_at FROM start) AND {_USABLE}
), numbered AS (
    SELECT *, row_number() OVER (PARTITION BY why IS NULL AND model IS NOT NULL, near
        ORDER BY seq DESC) AS place, dense_rank() OVER (ORDER BY key_id, user) AS caller
    FROM decided
), judged AS MATERIALIZED (
    SELECT seq, caller, agent, stated, in_conversation, model,
        CASE WHEN why IS NOT NULL THEN why WHEN model IS NULL THEN 'other_model'
        WHEN place > 1 THEN 'near_duplicate' END AS why FROM numbered
)
SELECT why, NULL AS agent, NULL AS stated, NULL AS in_conversation, NULL AS model, count(*) AS n,
    NULL AS seqs, NULL AS callers FROM judged WHERE why IS NOT NULL GROUP BY why
UNION ALL
SELECT NULL, agent, stated, in_conversation, model, count(*), json_group_array(seq),
    json_group_array(caller) FROM judged WHERE why IS NULL
GROUP BY agent, stated, in_conversation, model
"""


def select_candidates(wanted: Wanted, *, looked_at: int = MAX_LOOKED_AT) -> Statement:
    return statement(
        _CANDIDATES,
        looked_at,
        wanted.router,
        json.dumps(list(wanted.agents)),
        json.dumps([_json_array(*model) for model in wanted.models]),
        wanted.confidence,
    )


async def find_candidates(
    db: Database, wanted: Wanted, *, looked_at: int = MAX_LOOKED_AT
) -> Candidates:
    """What models decided in the newest `looked_at` log rows that nobody contradicts and no label
    decides; near-duplicates once, the newest of them."""
    left_out: Counter[str] = Counter()
    single: defaultdict[str, list[Candidate]] = defaultdict(list)
    turns: defaultdict[str, list[Candidate]] = defaultdict(list)
    for row in await db.run(select_candidates(wanted, looked_at=looked_at)):
        if row["why"] is not None:
            left_out[row["why"]] += int(row["n"])
            continue
        found = turns if row["in_conversation"] else single
        found[row["agent"] or NO_AGENT] += _candidates(row)
    return Candidates(single=single, turns=turns, left_out=left_out)


def _json_array(*values: str | None) -> str:
    """As SQLite's json_array() writes it."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def _candidates(row: Row) -> list[Candidate]:
    pairs = zip(json.loads(row["seqs"]), json.loads(row["callers"]), strict=True)
    stated, model = bool(row["stated"]), int(row["model"])
    return [Candidate(seq, caller, stated, model) for seq, caller in pairs]


async def test_part(db: Database) -> frozenset[str]:
    """What questions of the test part share with similar ones: their `similar_hash`."""
    rows = await db.run(
        statement(
            "SELECT DISTINCT similar_hash FROM splits"
            " WHERE split = 'test' AND similar_hash IS NOT NULL"
        )
    )
    return frozenset(row["similar_hash"] for row in rows)


async def read_machine_labels(db: Database, seqs: Sequence[int]) -> Rows:
    """`seq`, `id`, `query`, `context`, `session`, `query_hash`, `near_hash` and `created_at` of
    these log rows, at most PAGE_TEXTS, in this order; `deferred` says whether a classifier was
    asked and was not sure. A row that was deleted or whose text was erased does not come back."""
    return await db.run(
        statement(
            "SELECT logs.seq, logs.id, query, context, session, query_hash, near_hash, created_at,"
            " classifier IS NOT NULL AND layer NOT IN ('classifier', 'session') AS deferred"
            " FROM json_each(?1) AS wanted CROSS JOIN logs ON logs.seq = wanted.value"
            " WHERE query <> '' AND query_hash IS NOT NULL ORDER BY wanted.key",
            json.dumps(list(seqs[:PAGE_TEXTS])),
        )
    )
