-- What a classifier that is not selected would have answered, by the hour: it runs beside what decides.
CREATE TABLE observed_hours (
    classifier TEXT NOT NULL,
    hour INTEGER NOT NULL, -- unix milliseconds of its start
    compared INTEGER NOT NULL, -- queries that a model decided
    answered INTEGER NOT NULL, -- of these it was sure of an agent
    agreed INTEGER NOT NULL, -- of these of the model's
    beside INTEGER NOT NULL, -- queries that the selected classifier decided
    beside_answered INTEGER NOT NULL,
    beside_agreed INTEGER NOT NULL,
    PRIMARY KEY (classifier, hour)
) STRICT, WITHOUT ROWID;
-- The audit samples of the selected classifier since it was selected, 25 a block, in their order.
CREATE TABLE audit_blocks (
    classifier TEXT NOT NULL,
    since INTEGER NOT NULL, -- unix milliseconds of the selection
    block INTEGER NOT NULL,
    samples INTEGER NOT NULL,
    agreed INTEGER NOT NULL,
    PRIMARY KEY (classifier, since, block)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER classifiers_delete_observed AFTER DELETE ON classifiers BEGIN
    DELETE FROM observed_hours WHERE classifier = old.id;
    DELETE FROM audit_blocks WHERE classifier = old.id;
END;
