-- How the confidence of a model is mapped to the share of its answers that were right: one row for each model
-- whose calibration an operator has put in force. It counts while the model has this identity (a model that is
-- registered again, or whose address changes, has another one) and the prompt this version.
CREATE TABLE calibrations (
    model_id TEXT PRIMARY KEY,
    identity TEXT NOT NULL, -- a hash
    prompt_version TEXT NOT NULL,
    evaluation_id TEXT NOT NULL, -- whose answers it was made from; it may be deleted
    n INTEGER NOT NULL,
    slope REAL NOT NULL,
    intercept REAL NOT NULL,
    ece_before REAL NOT NULL,
    ece_after REAL NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT;
CREATE TRIGGER calibrations_insert_revision AFTER INSERT ON calibrations BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER calibrations_update_revision AFTER UPDATE ON calibrations BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER calibrations_delete_revision AFTER DELETE ON calibrations BEGIN UPDATE revision SET value = value + 1; END;
-- The evaluated models as they were at the start: a JSON object, by id, of `identity`, `calibration` (a row as above
-- or null) and its `version`. Null in older rows.
ALTER TABLE evaluations ADD COLUMN measured TEXT;
-- The model's own confidence, if a calibration was in force; null: `confidence` is the model's own.
ALTER TABLE evaluation_answers ADD COLUMN raw_confidence REAL;
-- The versions of the calibrations of the active model and the challenger; null: neither had one.
ALTER TABLE challenger_answers ADD COLUMN calibrations TEXT;
