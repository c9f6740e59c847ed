"""The table `routing_tests`, which has one row at most, and the runs of the set: rows of
`evaluations` with the source 'routing_tests'."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeneuro.domain.routing_test import (
    Flips,
    ResultsQuery,
    RoutingTest,
    RoutingTestResult,
    RoutingTestRun,
    RoutingTestsIdentity,
    RunOutcome,
    tests_sha256,
)
from edgeneuro.store.database import Database, Row, Statement, statement
from edgeneuro.store.evaluations import MAX_TRIES, ROWS
from edgeneuro.store.jobs import insert_job, message_of, read_or_substitute, unfinished
from edgeneuro.store.sql import Conditions, compact_json, rfc3339

# What stands where an evaluation has models, and where it has a part of the labels.
PIPELINE, SPLIT = "pipeline", "routing_tests"
_RUNS = f"{ROWS} WHERE source = 'routing_tests'"
_COLUMNS = (
    "id, state, created_at, created_by, started_at, finished_at, error, labels AS tests,"
    " label_layer, threshold, agents_revision, prompt_version, proposal, data, results"
)


@dataclass(frozen=True)
class StoredTests:
    """`ids` are those of the `items`, the tests as they were sent."""

    identity: RoutingTestsIdentity
    ids: list[str]
    items: list[dict[str, Any]]
    updated_ms: int


async def find_set(db: Database) -> StoredTests | None:
    rows = await db.run(
        statement("SELECT content, tests, sha256, updated_at, updated_by FROM routing_tests")
    )
    if not rows:
        return None
    row, content = rows[0], json.loads(rows[0]["content"])
    identity = RoutingTestsIdentity(
        tests=row["tests"],
        sha256=row["sha256"],
        updated_at=rfc3339(row["updated_at"]),
        updated_by=row["updated_by"],
    )
    ids, items = [each["id"] for each in content], [each["test"] for each in content]
    return StoredTests(identity, ids, items, row["updated_at"])


def new_set(tests: Sequence[RoutingTest], *, now_ms: int, by: str) -> StoredTests:
    identity = RoutingTestsIdentity(
        tests=len(tests), sha256=tests_sha256(tests), updated_at=rfc3339(now_ms), updated_by=by
    )
    ids, items = [each.id for each in tests], [each.content() for each in tests]
    return StoredTests(identity, ids, items, now_ms)


def store_set(tests: StoredTests) -> Statement:
    pairs = zip(tests.ids, tests.items, strict=True)
    content = [{"id": test_id, "test": test} for test_id, test in pairs]
    return statement(
        "INSERT INTO routing_tests (id, content, tests, sha256, updated_at, updated_by)"
        " VALUES (1, ?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO UPDATE SET content = excluded.content,"
        " tests = excluded.tests, sha256 = excluded.sha256, updated_at = excluded.updated_at,"
        " updated_by = excluded.updated_by RETURNING sha256",
        compact_json(content),
        tests.identity.tests,
        tests.identity.sha256,
        tests.updated_ms,
        tests.identity.updated_by,
    )


def delete_set() -> Statement:
    return statement("DELETE FROM routing_tests RETURNING sha256")


def insert_run(
    run_id: str,
    *,
    created_ms: int,
    created_by: str,
    label_layer: bool,
    agents_revision: str,
    prompt_version: str,
    threshold: float,
    proposal: dict[str, Any],
) -> list[Statement]:
    """With the tests as they are now, and the job that runs them. No row comes back from the last
    statement where there are none, or where another run is unfinished."""
    begun = statement(
        "INSERT INTO evaluations (id, created_at, created_by, model_ids, split, labels,"
        " left_out, agents_revision, prompt_version, threshold, source, target, label_layer,"
        " proposal, data)"
        " SELECT ?1, ?2, ?3, ?4, ?5, tests, 0, ?6, ?7, ?8, 'routing_tests', 'pipeline',"
        " ?9, ?10, json_object('labels', tests, 'newest_label_id', NULL, 'sha256', sha256)"
        f" FROM routing_tests WHERE tests > 0 AND NOT {unfinished('routing_test_run')}",
        run_id,
        created_ms,
        created_by,
        json.dumps([PIPELINE]),
        SPLIT,
        agents_revision,
        prompt_version,
        threshold,
        int(label_layer),
        json.dumps(proposal),
    )
    items = statement(
        "INSERT INTO evaluation_items (evaluation_id, query_hash, query, context, agent_id, test,"
        " metadata)"
        " SELECT evaluations.id, value ->> '$.id', value ->> '$.test.query',"
        " value -> '$.test.context',"
        " value ->> '$.test.expect', value -> '$.test', value -> '$.test.metadata'"
        " FROM evaluations, routing_tests, json_each(content) WHERE evaluations.id = ?1",
        run_id,
    )
    job = insert_job("routing_test_run", run_id, created_ms=created_ms)
    found = statement(f"SELECT {_COLUMNS} FROM {_RUNS} AND id = ?1", run_id)
    return [begun, items, job, found]


async def find_run(db: Database, run_id: str) -> RoutingTestRun | None:
    """With how many tests are done."""
    found, done = await db.batch(
        [
            statement(f"SELECT {_COLUMNS} FROM {_RUNS} AND id = ?1", run_id),
            statement(
                "SELECT count(*) AS done FROM evaluation_answers WHERE evaluation_id = ?1"
                f" AND (failed = 0 OR tries >= {MAX_TRIES})",
                run_id,
            ),
        ]
    )
    if not found:
        return None
    return _readable(found[0]).model_copy(update={"done": done[0]["done"]})


async def list_runs(db: Database, *, limit: int, after: str | None = None) -> list[RoutingTestRun]:
    """Newest first."""
    rows = await db.run(
        statement(
            f"SELECT {_COLUMNS} FROM {_RUNS} AND (?1 IS NULL OR id < ?1) ORDER BY id DESC LIMIT ?2",
            after,
            limit,
        )
    )
    return [_readable(row) for row in rows]


async def newest_run(
    db: Database, *, before: str | None = None, fingerprint: str | None = None
) -> RoutingTestRun | None:
    """The newest that has succeeded; with `fingerprint` of that configuration, with the tests as
    they are now, and as a request would be routed."""
    rows = await db.run(
        statement(
            f"SELECT {_COLUMNS} FROM {_RUNS} AND state = 'succeeded' AND (?1 IS NULL OR id < ?1)"
            " AND (?2 IS NULL OR (label_layer = 1 AND proposal ->> 'fingerprint' = ?2"
            " AND data ->> 'sha256' = (SELECT sha256 FROM routing_tests)))"
            " ORDER BY id DESC LIMIT 1",
            before,
            fingerprint,
        )
    )
    return _readable(rows[0]) if rows else None


async def was_tried(db: Database, fingerprint: str) -> bool:
    """Whether there is a run of that configuration with the tests as they are now, however it
    ended."""
    rows = await db.run(
        statement(
            f"SELECT EXISTS (SELECT 1 FROM {_RUNS} AND proposal ->> 'fingerprint' = ?1"
            " AND data ->> 'sha256' = (SELECT sha256 FROM routing_tests)) AS tried",
            fingerprint,
        )
    )
    return bool(rows[0]["tried"])


async def read_outcome(db: Database, run_id: str) -> RunOutcome:
    rows = await db.run(
        statement(
            "SELECT count(*) AS tests, coalesce(sum(is_right), 0) AS passed,"
            " coalesce(sum(failed), 0) AS errors FROM evaluation_answers WHERE evaluation_id = ?1",
            run_id,
        )
    )
    row = rows[0]
    failed = row["tests"] - row["passed"] - row["errors"]
    return RunOutcome(failed=failed, **row)


# One answer a test: a run has one pipeline.
_COMPARED = (
    "evaluation_items AS item JOIN evaluation_answers AS answer USING (evaluation_id, query_hash)"
    " LEFT JOIN evaluation_answers AS former ON former.evaluation_id = {former}"
    " AND former.model_id = answer.model_id AND former.query_hash = answer.query_hash"
)
_FLIP = (
    "CASE WHEN former.is_right > answer.is_right THEN 'broken'"
    " WHEN former.is_right < answer.is_right THEN 'fixed'"
    " WHEN former.query_hash IS NOT NULL AND (former.agent_id IS NOT answer.agent_id"
    " OR former.failed <> answer.failed) THEN 'changed' END"
)


async def count_flips(db: Database, run_id: str, compared_with: str) -> Flips:
    rows = await db.run(
        statement(
            f"SELECT count(*) FILTER (WHERE flip = 'broken') AS broken,"
            " count(*) FILTER (WHERE flip = 'fixed') AS fixed,"
            " count(*) FILTER (WHERE flip = 'changed') AS changed,"
            " count(*) FILTER (WHERE is_new) AS new,"
            " (SELECT count(*) FROM evaluation_items WHERE evaluation_id = ?2"
            " AND query_hash NOT IN (SELECT query_hash FROM evaluation_items"
            " WHERE evaluation_id = ?1)) AS gone"
            f" FROM (SELECT {_FLIP} AS flip, former.query_hash IS NULL AS is_new"
            f" FROM {_COMPARED.format(former='?2')} WHERE item.evaluation_id = ?1)",
            run_id,
            compared_with,
        )
    )
    return Flips(compared_with=compared_with, **rows[0])


async def list_results(
    db: Database, run_id: str, query: ResultsQuery, *, compared_with: str | None, limit: int
) -> list[RoutingTestResult]:
    """By the tests' ids."""
    wanted = Conditions()
    wanted.add("item.evaluation_id = ?", run_id)
    if query.after is not None:
        wanted.add("item.query_hash > ?", query.after)
    if query.only == "failed":
        wanted.add("answer.is_right = 0")
    elif query.only == "flips":
        wanted.add(f"{_FLIP} IS NOT NULL")
    rows = await db.run(
        statement(
            f"SELECT answer.*, item.test, {_FLIP} AS flip, former.agent_id AS before_agent,"
            f" former.is_right AS before_right FROM {_COMPARED.format(former='?')}"
            f" WHERE {wanted.sql} ORDER BY item.query_hash LIMIT ?",
            compared_with,
            *wanted.values,
            limit,
        )
    )
    return [_result(row) for row in rows]


def _result(row: Row) -> RoutingTestResult:
    before = row["before_right"]
    return RoutingTestResult(
        id=row["query_hash"],
        test=json.loads(row["test"]),
        passed=bool(row["is_right"]),
        failed_to_answer=bool(row["failed"]),
        agent=row["agent_id"],
        layer=row["layer"],
        confidence=row["confidence"],
        reason=row["reason"],
        flip=row["flip"],
        before_agent=row["before_agent"],
        before_passed=None if before is None else bool(before),
    )


def _readable(row: Row) -> RoutingTestRun:
    substitute = {"proposal": "{}", "data": "{}", "results": None}
    return read_or_substitute(run_from_row, row, substitute)


def run_from_row(row: Row) -> RoutingTestRun:
    proposal, data = json.loads(row["proposal"]), json.loads(row["data"])
    outcome = None if row["results"] is None else RunOutcome.model_validate_json(row["results"])
    return RoutingTestRun.model_validate(
        {
            **row,
            **{
                name: None if row[name] is None else rfc3339(row[name])
                for name in ("created_at", "started_at", "finished_at")
            },
            "error": message_of(row["error"]),
            "changes": proposal.get("changes", {}),
            "active": proposal.get("active", ""),
            "classifier": proposal.get("classifier"),
            "fingerprint": proposal.get("fingerprint", ""),
            "labels": bool(row["label_layer"]),
            "sha256": data.get("sha256", ""),
            "outcome": outcome,
            "passed": None if outcome is None else outcome.passed == outcome.tests,
        }
    )
