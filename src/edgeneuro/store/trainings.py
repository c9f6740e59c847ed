"""Trainings under way: what a slice of the job reads and stores."""

from collections.abc import Mapping

from edgeneuro.domain.classifier import Classifier
from edgeneuro.domain.label import DataSnapshot
from edgeneuro.store.classifiers import COLUMNS, ROWS, classifier_from_row
from edgeneuro.store.database import Database, Statement, Value, statement

_OUTCOME = (
    *("metrics", "per_agent", "size", "checksum", "test_score", "needs"),
    *("rule_outcome", "warnings", "mix", "suspects", "robustness", "follow_ups", "shortlist"),
    "curve",
)


async def read_training(db: Database, classifier_id: str) -> Classifier:
    """Raises ValueError or TypeError where its row cannot be read."""
    rows = await db.run(statement(f"SELECT {COLUMNS} FROM {ROWS} WHERE id = ?1", classifier_id))
    return classifier_from_row(rows[0])


def note_labels(
    classifier_id: str, *, labels: int, last_label_id: str | None, data: DataSnapshot | None
) -> Statement:
    """What is learned from; `data` is noted once it is known."""
    return statement(
        "UPDATE classifiers SET labels = ?2, last_label_id = ?3, data = coalesce(?4, data)"
        " WHERE id = ?1",
        classifier_id,
        labels,
        last_label_id,
        None if data is None else data.model_dump_json(),
    )


def store_outcome(classifier_id: str, *, labels: int, outcome: Mapping[str, Value]) -> Statement:
    """What the training came to: the columns metrics, per_agent, test_score, needs, rule_outcome,
    warnings, mix, suspects, robustness, follow_ups, shortlist, curve (JSON), size and checksum."""
    return statement(
        "UPDATE classifiers SET labels = ?2, metrics = ?3, per_agent = ?4, size = ?5,"
        " checksum = ?6, test_score = ?7, needs = ?8, rule_outcome = ?9, warnings = ?10,"
        " mix = ?11, suspects = ?12, robustness = ?13, follow_ups = ?14, shortlist = ?15,"
        " curve = ?16 WHERE id = ?1",
        classifier_id,
        labels,
        *(outcome.get(name) for name in _OUTCOME),
    )


def delete_states(classifier_id: str, *, below: int) -> Statement:
    """What earlier slices stored."""
    return statement(
        "DELETE FROM classifier_parts WHERE classifier_id = ?1 AND kind = 'state' AND part < ?2",
        classifier_id,
        below,
    )
