"""The tables `classifiers`, trainings with what came of them, and `classifier_parts`, their bytes.
What a training writes while it is under way is in trainings.py."""

import json
from collections.abc import Sequence
from contextlib import suppress

from pydantic import TypeAdapter

from edgeneuro.classifier.model import InvalidModelError, is_of_this_version
from edgeneuro.domain.classifier import (
    Classifier,
    ClassifierScore,
    RuleOutcome,
    TrainingOptions,
    TrainingProgress,
)
from edgeneuro.domain.classifier_curve import CurvePoint
from edgeneuro.domain.model import Model, Pricing
from edgeneuro.store.database import Database, Row, Rows, Statement, statement
from edgeneuro.store.jobs import insert_job, message_of, read_or_substitute, unfinished
from edgeneuro.store.parts import CLASSIFIER_PARTS
from edgeneuro.store.sql import rfc3339

_CURVE = TypeAdapter(list[CurvePoint])
_VERSION_DIGITS = 12
COLUMNS = (
    "id, state, created_at, created_by, started_at, finished_at, options, progress, tries, error,"
    " agents, labels, last_label_id, metrics, per_agent, size, checksum, test_score, needs,"
    " rule_outcome, warnings, mix, data, robustness, follow_ups,"
    " shortlist"
)
# Classifiers with what their jobs say of them.
ROWS = (
    "(SELECT classifiers.*, jobs.state, jobs.started_at, jobs.ended_at AS finished_at, jobs.error,"
    " jobs.checkpoint AS progress, jobs.attempts AS tries"
    " FROM classifiers JOIN jobs ON jobs.resource_id = classifiers.id)"
)
# Those that were not trained for one router alone.
OF_ALL_AGENTS = "options ->> 'router' IS NULL"
_REPORT = ("rule_outcome", "warnings", "mix", "data", "robustness", "follow_ups", "shortlist")


def insert_classifier(
    classifier_id: str,
    *,
    created_ms: int,
    created_by: str,
    options: TrainingOptions,
    agents: Sequence[str],
) -> list[Statement]:
    """With the job that trains it; only while no other training is unfinished: no row comes back
    from the last statement where one is."""
    stored = statement(
        "INSERT INTO classifiers (id, created_at, created_by, options, agents, labels,"
        " last_label_id) SELECT ?1, ?2, ?3, ?4, ?5, 0,"
        " (SELECT label_id FROM current_labels ORDER BY seq DESC LIMIT 1)"
        f" WHERE NOT {unfinished('training')}",
        classifier_id,
        created_ms,
        created_by,
        options.model_dump_json(),
        json.dumps(agents),
    )
    job = insert_job(
        "training",
        classifier_id,
        created_ms=created_ms,
        checkpoint=TrainingProgress().model_dump_json(),
    )
    return [stored, job, _select(classifier_id)]


def _select(classifier_id: str) -> Statement:
    return statement(f"SELECT {COLUMNS} FROM {ROWS} WHERE id = ?1", classifier_id)


async def read_model(db: Database, classifier_id: str) -> bytes:
    """The model's bytes, for classifier.model.loads, which refuses those that are damaged. Raises
    InvalidModelError where they are not those that the training made."""
    rows = await db.run(
        statement(
            "SELECT checksum FROM classifiers WHERE id = ?1 AND checksum IS NOT NULL", classifier_id
        )
    )
    content = await CLASSIFIER_PARTS.read(db, classifier_id, "model") if rows else b""
    if not content:
        raise InvalidModelError(f"there is no model of the classifier {classifier_id!r}")
    if not content.endswith(bytes.fromhex(rows[0]["checksum"])):
        raise InvalidModelError("the checksum is wrong: these are not the bytes of this classifier")
    return content


async def newest_model(db: Database) -> str | None:
    """The newest training on all agents that left a model, also one that no threshold was found
    for: its scores order the label queue all the same."""
    rows = await db.run(
        statement(
            f"SELECT id FROM {ROWS} AS trained WHERE state IN ('succeeded', 'failed') AND EXISTS"
            " (SELECT 1 FROM classifier_parts WHERE classifier_id = trained.id AND kind = 'model')"
            f" AND {OF_ALL_AGENTS} ORDER BY id DESC LIMIT 1"
        )
    )
    return rows[0]["id"] if rows else None


async def of_another_version(db: Database, classifier_ids: Sequence[str]) -> set[str]:
    """Those of the classifiers whose model this version cannot read."""
    rows = await db.run(
        statement(
            "SELECT classifier_id, hex(substr(content, 1, 20)) AS beginning FROM classifier_parts"
            " WHERE kind = 'model' AND part = 0"
            " AND classifier_id IN (SELECT value FROM json_each(?1))",
            json.dumps(classifier_ids),
        )
    )
    return {
        row["classifier_id"]
        for row in rows
        if not is_of_this_version(bytes.fromhex(row["beginning"]))
    }


def delete_work(classifier_id: str, *, keep_model: bool = True) -> list[Statement]:
    """For a training that ends: deletes what its slices stored beside the model, and the models of
    those that failed before, since the label queue looks at the newest model alone."""
    return [
        statement(
            "DELETE FROM classifier_parts WHERE classifier_id = ?1 AND (kind <> 'model' OR ?2)",
            classifier_id,
            int(not keep_model),
        ),
        statement(
            "DELETE FROM classifier_parts WHERE classifier_id <> ?1 AND classifier_id IN"
            " (SELECT resource_id FROM jobs WHERE kind = 'training' AND state = 'failed')",
            classifier_id,
        ),
    ]


def delete_classifier(classifier_id: str) -> Statement:
    """With its parts; no row comes back where it is selected, in a router too."""
    return statement(
        "DELETE FROM classifiers WHERE id = ?1 AND NOT EXISTS"
        " (SELECT 1 FROM config WHERE key = 'classifier' AND value = json_quote(?1))"
        " AND NOT EXISTS (SELECT 1 FROM routers WHERE settings ->> 'classifier' = ?1)"
        " RETURNING id",
        classifier_id,
    )


def replace_selected(classifier_id: str, *, previous: str, now_ms: int) -> Statement:
    """Selects a classifier that has succeeded, only while `previous` is the selected one."""
    return statement(
        "UPDATE config SET value = json_quote(?1), updated_at = ?3 WHERE key = 'classifier'"
        " AND value = json_quote(?2)"
        " AND EXISTS (SELECT 1 FROM classifiers WHERE id = ?1 AND checksum IS NOT NULL)"
        " RETURNING key",
        classifier_id,
        previous,
        now_ms,
    )


async def newest_training(db: Database) -> Classifier | None:
    """The newest training on all agents."""
    rows = await db.run(
        statement(f"SELECT {COLUMNS} FROM {ROWS} WHERE {OF_ALL_AGENTS} ORDER BY id DESC LIMIT 1")
    )
    return _readable(rows[0]) if rows else None


async def newest_trained(db: Database) -> Classifier | None:
    """The newest training on all agents that succeeded."""
    rows = await db.run(
        statement(
            f"SELECT {COLUMNS} FROM {ROWS} WHERE {OF_ALL_AGENTS} AND state = 'succeeded'"
            " ORDER BY id DESC LIMIT 1"
        )
    )
    return _readable(rows[0]) if rows else None


async def find_classifier(db: Database, classifier_id: str) -> Classifier | None:
    rows = await db.run(_select(classifier_id))
    return _readable(rows[0]) if rows else None


async def read_curve(db: Database, classifier_id: str) -> list[CurvePoint] | None:
    """None for a training from before there were curves, or whose curve cannot be read."""
    rows = await db.run(statement("SELECT curve FROM classifiers WHERE id = ?1", classifier_id))
    if not rows or rows[0]["curve"] is None:
        return None
    with suppress(ValueError):
        return _CURVE.validate_json(rows[0]["curve"])
    return None


async def list_classifiers(
    db: Database, *, limit: int, after: str | None = None
) -> list[Classifier]:
    """Newest first; `after` is the id of the last one seen."""
    rows = await db.run(
        statement(
            f"SELECT {COLUMNS} FROM {ROWS} WHERE (?1 IS NULL OR id < ?1) ORDER BY id DESC LIMIT ?2",
            after,
            limit,
        )
    )
    return [_readable(row) for row in rows]


def store_score(classifier_id: str, score: ClassifierScore) -> Statement:
    return statement(
        "UPDATE classifiers SET test_score = ?2 WHERE id = ?1",
        classifier_id,
        score.model_dump_json(),
    )


def note_rule_outcome(classifier_id: str, outcome: RuleOutcome) -> Statement:
    """Where the classifier is the selected one by now."""
    return statement(
        "UPDATE classifiers SET rule_outcome = ?2 WHERE id = ?1 AND EXISTS"
        " (SELECT 1 FROM config WHERE key = 'classifier' AND value = json_quote(?1))",
        classifier_id,
        outcome.model_dump_json(),
    )


async def count_other_scores(db: Database, classifier_id: str) -> int:
    """How often other classifiers were scored on the test part."""
    rows = await db.run(
        statement(
            "SELECT coalesce(sum(test_score ->> 'looks'), 0) AS looks FROM classifiers"
            " WHERE id <> ?1 AND test_score IS NOT NULL",
            classifier_id,
        )
    )
    return int(rows[0]["looks"])


def select_classifier_models() -> Statement:
    """The newest of those that can answer."""
    return statement(
        "SELECT id, created_at, metrics, labels, size, agents, options ->> 'router' AS router"
        " FROM classifiers"
        " WHERE checksum IS NOT NULL ORDER BY id DESC LIMIT 100"
    )


def intact_classifiers(rows: Rows) -> list[Model]:
    """Without those that are damaged (edited by hand, say): they must not end routing."""
    found = []
    for row in rows:
        with suppress(ValueError):
            found.append(classifier_model_from_row(row))
    return found


def classifier_model_from_row(row: Row) -> Model:
    return Model(
        id=row["id"],
        created=row["created_at"] // 1000,
        owned_by="you",
        type="classifier",
        base_model=row["id"],
        adapter=None,
        provider="edgeneuro",
        status="available",
        supports_lora=False,
        json_mode=False,
        context_window=None,
        pricing=Pricing(input_per_million=0, output_per_million=0),
        metrics=json.loads(row["metrics"]),
        labels=row["labels"],
        size=row["size"],
        agents=json.loads(row["agents"]),
        router=row["router"],
    )


async def count_newer_labels(db: Database, label_id: str | None, *, most: int) -> int:
    """How many labels in force are newer than that one, counted up to `most`."""
    rows = await db.run(
        statement(
            "SELECT count(*) AS labels FROM (SELECT 1 FROM current_labels"
            " WHERE seq > coalesce((SELECT seq FROM labels WHERE id = ?1),"
            # It was erased: ids begin with the time.
            " (SELECT max(seq) FROM labels WHERE id < ?1), 0) LIMIT ?2)",
            label_id,
            most,
        )
    )
    return int(rows[0]["labels"])


def _readable(row: Row) -> Classifier:
    options = TrainingOptions(target=0, min_labels=0, seed=0)
    substitute = {
        "options": options.model_dump_json(),
        "progress": "{}",
        "agents": "[]",
        "metrics": None,
        "per_agent": None,
        "test_score": None,
        **dict.fromkeys(_REPORT),
    }
    return read_or_substitute(classifier_from_row, row, substitute)


def classifier_from_row(row: Row) -> Classifier:
    checksum: str | None = row["checksum"]
    return Classifier.model_validate(
        {
            **row,
            **{name: json.loads(row[name]) for name in ("options", "agents")},
            "progress": json.loads(row["progress"]) | {"tries": row["tries"]},
            "error": message_of(row["error"]),
            **{
                name: None if row[name] is None else json.loads(row[name])
                for name in ("metrics", "per_agent", "test_score", "needs", *_REPORT)
            },
            **{
                name: None if row[name] is None else rfc3339(row[name])
                for name in ("created_at", "started_at", "finished_at")
            },
            "version": checksum[:_VERSION_DIGITS] if checksum else None,
        }
    )
