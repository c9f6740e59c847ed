"""The tables `evaluations`, `evaluation_items` and `evaluation_answers`: models on held-out labels.
What the job reads and stores is in evaluation_jobs.py, its answers are in evaluation_answers.py."""

import json
from collections.abc import Mapping, Sequence

from edgeneuro.domain.evaluation import (
    EvaluatedPart,
    Evaluation,
    MeasuredModel,
    ModelProgress,
    Target,
)
from edgeneuro.store.database import Database, Row, Rows, Statement, statement
from edgeneuro.store.jobs import (
    UNFINISHED,
    insert_job,
    message_of,
    read_or_substitute,
    unfinished,
)
from edgeneuro.store.sql import rfc3339

MAX_TRIES = 3  # of one question by one model
COLUMNS = (
    "id, state, created_at, created_by, started_at, finished_at, tries, model_ids, split, labels,"
    " left_out, near_duplicates, agents_revision, prompt_version, threshold, error, results,"
    " target, label_layer, data, proposal ->> 'router' AS router"
)
# Evaluations with what their jobs say of them.
ROWS = (
    "(SELECT evaluations.*, jobs.state, jobs.started_at, jobs.ended_at AS finished_at, jobs.error,"
    " jobs.attempts AS tries FROM evaluations JOIN jobs ON jobs.resource_id = evaluations.id)"
)
_OF_LABELS = "source = 'labels'"  # the others are runs of routing tests (routing_tests.py)
_ON_TEST_PART = "state = 'succeeded' AND split IN ('test', 'held_out')"
SPLITS: dict[EvaluatedPart, list[str]] = {
    "validation": ["validation"],
    "test": ["test"],
    "held_out": ["validation", "test"],
}


def insert_evaluation(
    evaluation_id: str,
    *,
    created_ms: int,
    created_by: str,
    model_ids: Sequence[str],
    split: EvaluatedPart,
    limit: int,
    agents: Sequence[str],
    agents_revision: str,
    prompt_version: str,
    threshold: float,
    target: Target = "models",
    label_layer: bool = False,
    proposal: dict[str, str] | None = None,
    measured: Mapping[str, MeasuredModel],
) -> list[Statement]:
    """With the labels in force, by query hash, which no one has chosen, and one question of each
    group of near-duplicates, and the job that runs it; only while no other one is unfinished: no
    row comes back from the last statement where one is."""
    splits, offered = json.dumps(SPLITS[split]), json.dumps(agents)
    begun = statement(
        "INSERT INTO evaluations (id, created_at, created_by, model_ids, split, labels,"
        " left_out, near_duplicates, agents_revision, prompt_version, threshold, target,"
        " label_layer, proposal, measured)"
        " SELECT ?1, ?2, ?3, ?4, ?5, 0, (SELECT count(*) FROM current_labels"
        " WHERE split IN (SELECT value FROM json_each(?6)) AND agent_id IS NOT NULL"
        " AND agent_id NOT IN (SELECT value FROM json_each(?7))),"
        " (SELECT count(*) - count(DISTINCT near_hash) FROM current_labels"
        " WHERE split IN (SELECT value FROM json_each(?6)) AND (agent_id IS NULL"
        " OR agent_id IN (SELECT value FROM json_each(?7)))), ?8, ?9, ?10, ?11, ?12, ?13, ?14"
        f" WHERE NOT {unfinished('evaluation')}",
        evaluation_id,
        created_ms,
        created_by,
        json.dumps(model_ids),
        split,
        splits,
        offered,
        agents_revision,
        prompt_version,
        threshold,
        target,
        int(label_layer),
        None if proposal is None else json.dumps(proposal),
        json.dumps({name: model.model_dump() for name, model in measured.items()}),
    )
    items = statement(
        "INSERT INTO evaluation_items (evaluation_id, query_hash, query, context, agent_id,"
        " metadata, turn)"
        " SELECT ?1, chosen.query_hash, chosen.query, chosen.context, chosen.agent_id,"
        " logs.metadata,"
        # Whether the session had asked something before; by the index over sessions.
        " CASE WHEN chosen.context IS NOT NULL THEN 'later'"
        " WHEN logs.session IS NULL THEN NULL WHEN EXISTS (SELECT 1 FROM logs AS earlier"
        " WHERE earlier.session = logs.session AND (earlier.created_at, earlier.id)"
        " < (logs.created_at, logs.id)) THEN 'later' ELSE 'first' END"
        # With min() SQLite takes the other columns from the row of the minimum.
        " FROM (SELECT min(query_hash) AS query_hash, query, context, agent_id, label_id"
        " FROM current_labels WHERE split IN (SELECT value FROM json_each(?2))"
        " AND (agent_id IS NULL OR agent_id IN (SELECT value FROM json_each(?3)))"
        " GROUP BY near_hash ORDER BY min(query_hash) LIMIT ?4) AS chosen"
        " LEFT JOIN labels ON labels.id = chosen.label_id LEFT JOIN logs ON logs.id = labels.log_id"
        " WHERE EXISTS (SELECT 1 FROM evaluations WHERE id = ?1)",
        evaluation_id,
        splits,
        offered,
        limit,
    )
    counted = statement(
        "UPDATE evaluations SET labels = found.n, data = json_object('labels', found.n,"
        " 'newest_label_id', (SELECT label_id FROM current_labels ORDER BY seq DESC"
        " LIMIT 1), 'sha256', NULL)"
        " FROM (SELECT count(*) AS n FROM evaluation_items WHERE evaluation_id = ?1) AS found"
        " WHERE id = ?1",
        evaluation_id,
    )
    job = insert_job("evaluation", evaluation_id, created_ms=created_ms)
    found = statement(f"SELECT {COLUMNS} FROM {ROWS} WHERE id = ?1", evaluation_id)
    return [begun, items, counted, job, found]


async def count_held_out(db: Database, split: EvaluatedPart, agents: Sequence[str]) -> int:
    """The labels that an evaluation would have."""
    rows = await db.run(
        statement(
            "SELECT count(*) AS labels FROM current_labels"
            " WHERE split IN (SELECT value FROM json_each(?1))"
            " AND (agent_id IS NULL OR agent_id IN (SELECT value FROM json_each(?2)))",
            json.dumps(SPLITS[split]),
            json.dumps(agents),
        )
    )
    return int(rows[0]["labels"])


async def find_evaluation(db: Database, evaluation_id: str) -> Evaluation | None:
    """With its progress and its results in detail."""
    found, done = await db.batch(
        [
            statement(
                f"SELECT {COLUMNS}, details FROM {ROWS} WHERE id = ?1 AND {_OF_LABELS}",
                evaluation_id,
            ),
            statement(
                "SELECT model_id, count(*) AS done FROM evaluation_answers WHERE evaluation_id = ?1"
                f" AND (failed = 0 OR tries >= {MAX_TRIES}) GROUP BY model_id",
                evaluation_id,
            ),
        ]
    )
    return _readable(found[0], done) if found else None


async def find_measured(db: Database, evaluation_id: str) -> dict[str, MeasuredModel]:
    """The evaluated models as they were at the start; none for an older evaluation."""
    rows = await db.run(statement("SELECT measured FROM evaluations WHERE id = ?1", evaluation_id))
    return measured_from_row(rows[0]) if rows else {}


async def list_evaluations(
    db: Database, *, limit: int, after: str | None = None
) -> list[Evaluation]:
    """Newest first, without their progress."""
    rows = await db.run(
        statement(
            f"SELECT {COLUMNS} FROM {ROWS} WHERE {_OF_LABELS} AND (?1 IS NULL OR id < ?1)"
            " ORDER BY id DESC LIMIT ?2",
            after,
            limit,
        )
    )
    return [_readable(row) for row in rows]


async def newest_on_test_part(
    db: Database,
    *,
    agents_revision: str,
    prompts: Sequence[str],
    threshold: float,
    calibrations: Mapping[str, str | None],
) -> Evaluation | None:
    """The newest on the test part that has succeeded with all of these models, for these agents,
    these versions of prompts and this threshold, and that counts near-duplicates once.
    `calibrations` are the versions of those in force, for each of the models."""
    rows = await db.run(
        statement(
            f"SELECT {COLUMNS} FROM {ROWS} WHERE {_ON_TEST_PART} AND split = 'test'"
            " AND target = 'models' AND agents_revision = ?2 AND router IS NULL"
            # It may name others too, of further models.
            " AND NOT EXISTS (SELECT 1 FROM json_each(?3) AS wanted"
            " WHERE instr(' ' || prompt_version || ' ', ' ' || wanted.value || ' ') = 0)"
            " AND threshold = ?4 AND near_duplicates IS NOT NULL"
            " AND NOT EXISTS (SELECT 1 FROM json_each(?1) AS wanted WHERE wanted.key NOT IN"
            " (SELECT value FROM json_each(model_ids)) OR wanted.value IS NOT"
            " (SELECT had.value ->> '$.version' FROM json_each(measured) AS had"
            " WHERE had.key = wanted.key)) ORDER BY id DESC LIMIT 1",
            json.dumps(calibrations),
            agents_revision,
            json.dumps(prompts),
            threshold,
        )
    )
    return evaluation_from_row(rows[0]) if rows else None


async def count_test_evaluations(db: Database, *, before: str | None = None) -> int:
    """How many have shown results on the test part, older than the evaluation `before`."""
    rows = await db.run(
        statement(
            f"SELECT count(*) AS looks FROM {ROWS} WHERE {_ON_TEST_PART}"
            " AND (?1 IS NULL OR id < ?1)",
            before,
        )
    )
    return int(rows[0]["looks"])


def delete_evaluation(evaluation_id: str) -> Statement:
    """With its questions, answers and job; not while that is unfinished."""
    return statement(
        "DELETE FROM evaluations WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM jobs"
        f" WHERE resource_id = ?1 AND {UNFINISHED}) RETURNING id",
        evaluation_id,
    )


def measured_from_row(row: Row) -> dict[str, MeasuredModel]:
    stored = json.loads(row["measured"] or "{}")
    return {name: MeasuredModel.model_validate(each) for name, each in stored.items()}


def _readable(row: Row, done: Rows | None = None) -> Evaluation:
    substitute = {
        "model_ids": "[]",
        "split": "test",
        "results": None,
        "details": None,
        "data": None,
    }
    return read_or_substitute(lambda each: evaluation_from_row(each, done), row, substitute)


def evaluation_from_row(row: Row, done: Rows | None = None) -> Evaluation:
    """`done` counts the questions that are done by model; None: it is not known."""
    model_ids = json.loads(row["model_ids"])
    details = json.loads(row.get("details") or "{}")
    counts = {each["model_id"]: each["done"] for each in done or ()}
    return Evaluation.model_validate(
        {
            **row,
            **details,
            **{
                name: None if row[name] is None else rfc3339(row[name])
                for name in ("created_at", "started_at", "finished_at")
            },
            "error": message_of(row["error"]),
            "model_ids": model_ids,
            "label_layer": bool(row["label_layer"]),
            "data": None if row["data"] is None else json.loads(row["data"]),
            "results": None if row["results"] is None else json.loads(row["results"]),
            "progress": [
                ModelProgress(model_id=each, done=counts.get(each, 0), total=row["labels"])
                for each in (model_ids if done is not None else ())
            ],
        }
    )
