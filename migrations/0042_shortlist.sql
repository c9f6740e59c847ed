-- How many of a classifier's best agents a model is offered, and why: a JSON object; null: a training from before.
ALTER TABLE classifiers ADD COLUMN shortlist TEXT;
-- The labels that may stand as examples beside an agent in a shorter question to a model. Their texts are read from the
-- labels in force, so an erased or corrected one is gone.
CREATE TABLE classifier_examples (
    classifier_id TEXT NOT NULL REFERENCES classifiers (id) ON DELETE CASCADE,
    query_hash TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    PRIMARY KEY (classifier_id, query_hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX classifier_examples_query_hash ON classifier_examples (query_hash);
