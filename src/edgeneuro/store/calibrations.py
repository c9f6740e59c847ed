"""The table `calibrations`: how the confidences of models are mapped, one row for each model."""

from edgeneuro.domain.calibration import Calibration
from edgeneuro.domain.routing import StoredCalibration
from edgeneuro.store.database import Row, Statement, statement
from edgeneuro.store.sql import rfc3339, unix_ms

_COLUMNS = (
    "model_id, identity, prompt_version, evaluation_id, n, slope, intercept, ece_before, ece_after,"
    " created_at"
)


def select_calibrations() -> Statement:
    return statement(f"SELECT {_COLUMNS} FROM calibrations ORDER BY model_id")


def upsert_calibration(
    calibration: Calibration, *, created_by: str, identity: str, at_revision: int
) -> Statement:
    """Only while `at_revision` is the revision: the model's identity is of that moment. No row
    comes back where it was not."""
    return statement(
        f"INSERT INTO calibrations ({_COLUMNS}, created_by)"
        " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11"
        " WHERE (SELECT value FROM revision) = ?12 ON CONFLICT (model_id) DO UPDATE SET"
        " identity = excluded.identity, prompt_version = excluded.prompt_version,"
        " evaluation_id = excluded.evaluation_id, n = excluded.n, slope = excluded.slope,"
        " intercept = excluded.intercept, ece_before = excluded.ece_before,"
        " ece_after = excluded.ece_after, created_at = excluded.created_at,"
        " created_by = excluded.created_by RETURNING model_id",
        calibration.model_id,
        identity,
        calibration.prompt_version,
        calibration.evaluation_id,
        calibration.n,
        calibration.slope,
        calibration.intercept,
        calibration.ece_before,
        calibration.ece_after,
        unix_ms(calibration.created_at),
        created_by,
        at_revision,
    )


def delete_calibration(model_id: str) -> Statement:
    """No row comes back where there is none."""
    return statement("DELETE FROM calibrations WHERE model_id = ?1 RETURNING model_id", model_id)


def calibration_from_row(row: Row) -> StoredCalibration:
    fields = {**row, "created_at": rfc3339(row["created_at"])}
    return StoredCalibration(
        calibration=Calibration.model_validate(fields), identity=row["identity"]
    )
