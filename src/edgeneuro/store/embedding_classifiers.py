"""The tables `embedding_classifiers`, the second classifiers of classifiers, and `embedding_parts`,
their bytes and those of their trainings."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from edgeneuro.classifier.model import InvalidModelError
from edgeneuro.domain.embedding import EmbeddingClassifier, EmbeddingProgress, SelectedEmbedding
from edgeneuro.store.database import Database, Row, Rows, Statement, statement
from edgeneuro.store.jobs import insert_job, message_of
from edgeneuro.store.parts import EMBEDDING_PARTS

_VERSION_DIGITS = 12
_ROWS = (
    "SELECT embedding_classifiers.*, jobs.state, jobs.error, jobs.checkpoint FROM"
    " embedding_classifiers JOIN jobs ON jobs.resource_id = embedding_classifiers.id"
)


def insert_embedding_classifier(
    embedding_id: str, classifier_id: str, *, model_id: str, identity: str, created_ms: int
) -> list[Statement]:
    """With the job that trains it, from a copy of the examples that the classifier was trained from
    (the batch in which its training ends deletes them)."""
    stored = statement(
        "INSERT INTO embedding_classifiers (id, classifier_id, created_at, model_id, identity)"
        " SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM classifiers WHERE id = ?2)"
        " ON CONFLICT (classifier_id) DO NOTHING",
        embedding_id,
        classifier_id,
        created_ms,
        model_id,
        identity,
    )
    job = insert_job(
        "embedding_training",
        embedding_id,
        created_ms=created_ms,
        checkpoint=EmbeddingProgress().model_dump_json(),
    )
    examples = statement(
        "INSERT INTO embedding_parts (embedding_id, kind, part, content)"
        " SELECT ?1, 'examples', part, content FROM classifier_parts"
        " WHERE classifier_id = ?2 AND kind = 'examples'"
        " AND EXISTS (SELECT 1 FROM embedding_classifiers WHERE id = ?1)",
        embedding_id,
        classifier_id,
    )
    return [stored, job, examples]


async def read_embedding_classifier(db: Database, embedding_id: str) -> EmbeddingClassifier:
    """Raises ValueError if there is none."""
    rows = await db.run(statement(f"{_ROWS} WHERE embedding_classifiers.id = ?1", embedding_id))
    if not rows:
        raise ValueError("the classifier was deleted")
    return _from_row(rows[0])


async def embeddings_of(
    db: Database, classifier_ids: Sequence[str]
) -> dict[str, EmbeddingClassifier]:
    """By the id of their classifier."""
    rows = await db.run(
        statement(
            f"{_ROWS} WHERE classifier_id IN (SELECT value FROM json_each(?1))",
            json.dumps(list(classifier_ids)),
        )
    )
    return {row["classifier_id"]: _from_row(row) for row in rows}


def _from_row(row: Row) -> EmbeddingClassifier:
    checksum: str | None = row["checksum"]
    return EmbeddingClassifier.model_validate(
        {
            **{name: value for name, value in row.items() if name in _FIELDS},
            "metrics": None if row["metrics"] is None else json.loads(row["metrics"]),
            "progress": json.loads(row["checkpoint"]),
            "error": message_of(row["error"]),
            "version": checksum[:_VERSION_DIGITS] if checksum else None,
        }
    )


_FIELDS = set(EmbeddingClassifier.model_fields) - {"metrics", "progress", "error", "version"}


def select_selected() -> Statement:
    """Those that can answer, the newest."""
    return statement(
        "SELECT id, classifier_id, identity, width FROM embedding_classifiers"
        " WHERE checksum IS NOT NULL ORDER BY id DESC LIMIT 100"
    )


def selected_from_rows(rows: Rows) -> dict[str, SelectedEmbedding]:
    """By the id of their classifier."""
    return {
        row["classifier_id"]: SelectedEmbedding(
            id=row["id"], identity=row["identity"], width=row["width"]
        )
        for row in rows
    }


async def read_embedding_model(db: Database, embedding_id: str) -> bytes:
    """Raises InvalidModelError if it is not there, or not as its training made it."""
    rows = await db.run(
        statement("SELECT checksum FROM embedding_classifiers WHERE id = ?1", embedding_id)
    )
    content = await EMBEDDING_PARTS.read(db, embedding_id, "model")
    if not rows or rows[0]["checksum"] is None or not content:
        raise InvalidModelError(f"there is no model of the second classifier {embedding_id!r}")
    if not content.endswith(bytes.fromhex(rows[0]["checksum"])):
        raise InvalidModelError("the checksum is wrong: these are not the bytes of its model")
    return content


def delete_states(embedding_id: str, *, below: int) -> Statement:
    return statement(
        "DELETE FROM embedding_parts WHERE embedding_id = ?1 AND kind = 'state' AND part < ?2",
        embedding_id,
        below,
    )


def delete_embedding_work(embedding_id: str) -> Statement:
    """What the slices of a training stored beside the model."""
    return statement(
        "DELETE FROM embedding_parts WHERE embedding_id = ?1 AND kind <> 'model'", embedding_id
    )


def note_width(embedding_id: str, width: int) -> Statement:
    return statement(
        "UPDATE embedding_classifiers SET width = ?2 WHERE id = ?1", embedding_id, width
    )


def store_embedding_outcome(embedding_id: str, outcome: Mapping[str, Any]) -> Statement:
    """`metrics` (JSON), `refusal`, `size` and `checksum`."""
    return statement(
        "UPDATE embedding_classifiers SET metrics = ?2, refusal = ?3, size = ?4, checksum = ?5"
        " WHERE id = ?1",
        embedding_id,
        *(outcome.get(name) for name in ("metrics", "refusal", "size", "checksum")),
    )
