"""Trainings under way. Whoever works at one holds it by `claimed_until`, and writes only while that
is still his; a training is let go of with all that its slice came to."""

from collections.abc import Mapping
from dataclasses import dataclass

from edgeneuro.domain.classifier import Classifier, TrainingProgress
from edgeneuro.domain.label import DataSnapshot
from edgeneuro.store.classifiers import COLUMNS, UNDER_WAY, classifier_from_row
from edgeneuro.store.database import Database, Statement, Value, statement

# They are read as hexadecimal digits, twice as long, and a row holds 2 MB.
PART_BYTES = 500_000
# The training is still that of whoever claimed it until ?2.
_HELD = "id = ?1 AND state = 'running' AND claimed_until = ?2"

_OUTCOME = (
    *("metrics", "per_agent", "size", "checksum", "test_score", "needs"),
    *("rule_outcome", "warnings", "mix", "suspects", "robustness"),
)


@dataclass(frozen=True)
class Claim:
    """A training that is ours until `until` (unix ms), which no other claim of it has."""

    training: Classifier
    until: int


async def claim(db: Database, classifier_id: str, *, now_ms: int, until_ms: int) -> Claim | None:
    """The training, ours until then; None where it is not under way or another's."""
    rows = await db.run(
        statement(
            "UPDATE classifiers SET state = 'running', claimed_until = ?3,"
            " started_at = coalesce(started_at, ?2),"
            " progress = json_set(progress, '$.tries', (progress ->> '$.tries') + 1)"
            f" WHERE id = ?1 AND {UNDER_WAY} AND claimed_until <= ?2 RETURNING {COLUMNS}",
            classifier_id,
            now_ms,
            until_ms,
        )
    )
    return Claim(classifier_from_row(rows[0]), until_ms) if rows else None


async def write_parts(
    db: Database, held: Claim, kind: str, content: bytes, *, first: int = 0
) -> bool:
    """Writes the bytes in parts numbered from `first` on, over those that were there; a statement
    each, since a request to D1 must not grow with them. False where the training is ours no
    more."""
    await db.run(
        statement(
            "DELETE FROM classifier_parts WHERE classifier_id = ?1 AND kind = ?3 AND part >= ?4"
            f" AND EXISTS (SELECT 1 FROM classifiers WHERE {_HELD})",
            held.training.id,
            held.until,
            kind,
            first,
        )
    )
    for number, at in enumerate(range(0, len(content), PART_BYTES), first):
        rows = await db.run(
            statement(
                "INSERT INTO classifier_parts (classifier_id, kind, part, content)"
                f" SELECT id, ?3, ?4, ?5 FROM classifiers WHERE {_HELD} RETURNING part",
                held.training.id,
                held.until,
                kind,
                number,
                content[at : at + PART_BYTES],
            )
        )
        if not rows:
            return False
    return True


def advance(
    held: Claim,
    progress: TrainingProgress,
    *,
    labels: int,
    last_label_id: str | None,
    keep: bool,
    data: DataSnapshot | None = None,
) -> Statement:
    """Notes how far the training has come, and lets go of it unless we `keep` it. `data` is noted
    once it is known. No row comes back where it was ours no more."""
    return statement(
        "UPDATE classifiers SET progress = ?3, labels = ?4, last_label_id = ?5, claimed_until = ?6,"
        " failures = 0, error = NULL, data = coalesce(?7, data)"
        f" WHERE {_HELD} RETURNING {COLUMNS}",
        held.training.id,
        held.until,
        progress.model_dump_json(),
        labels,
        last_label_id,
        held.until if keep else 0,
        None if data is None else data.model_dump_json(),
    )


def finish(
    held: Claim,
    state: str,
    *,
    now_ms: int,
    progress: TrainingProgress,
    labels: int,
    error: str | None = None,
    outcome: Mapping[str, Value] | None = None,
) -> Statement:
    """Ends the training. `outcome` has the columns metrics, per_agent, test_score, needs,
    rule_outcome, warnings, mix, suspects, robustness (JSON), size and checksum. No row comes
    back where it was ours no more."""
    given = outcome or {}
    return statement(
        "UPDATE classifiers SET state = ?3, finished_at = ?4, progress = ?5, labels = ?6,"
        " error = ?7, metrics = ?8, per_agent = ?9, size = ?10, checksum = ?11, test_score = ?12,"
        " needs = ?13, rule_outcome = ?14, warnings = ?15, mix = ?16, suspects = ?17,"
        " robustness = ?18"
        f" WHERE {_HELD} RETURNING {COLUMNS}",
        held.training.id,
        held.until,
        state,
        now_ms,
        progress.model_dump_json(),
        labels,
        error,
        *(given.get(name) for name in _OUTCOME),
    )


def delete_states(classifier_id: str, *, below: int) -> Statement:
    """What was kept between earlier slices."""
    return statement(
        "DELETE FROM classifier_parts WHERE classifier_id = ?1 AND kind = 'state' AND part < ?2",
        classifier_id,
        below,
    )
