-- Routing tests: the one set that an operator keeps beside the agents. A run of it is an evaluation of
-- another source. An evaluation measures models alone, or the pipeline as a request would be routed.
CREATE TABLE routing_tests (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    content TEXT NOT NULL, -- JSON array of the tests, in the file's order
    tests INTEGER NOT NULL,
    sha256 TEXT NOT NULL, -- of the tests, whatever their order
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL
) STRICT;
ALTER TABLE evaluations ADD COLUMN source TEXT NOT NULL DEFAULT 'labels' CHECK (source IN ('labels', 'routing_tests'));
ALTER TABLE evaluations ADD COLUMN target TEXT NOT NULL DEFAULT 'models' CHECK (target IN ('models', 'pipeline'));
ALTER TABLE evaluations ADD COLUMN label_layer INTEGER NOT NULL DEFAULT 0; -- whether labels decide
ALTER TABLE evaluations ADD COLUMN proposal TEXT; -- JSON: the changes that are tried, and what they come to
ALTER TABLE evaluations ADD COLUMN data TEXT; -- JSON: how many questions, the newest label, a hash of them
ALTER TABLE evaluations ADD COLUMN details TEXT; -- JSON: results by slice and by threshold
ALTER TABLE evaluation_items ADD COLUMN test TEXT; -- JSON: the routing test
ALTER TABLE evaluation_items ADD COLUMN metadata TEXT; -- JSON object: of the log row that was labelled
ALTER TABLE evaluation_items ADD COLUMN turn TEXT; -- in its session: first or later; null: there is none
ALTER TABLE evaluation_answers ADD COLUMN confidence REAL; -- as stated, whatever came of it
ALTER TABLE evaluation_answers ADD COLUMN named_agent TEXT; -- by a stage, before the threshold
ALTER TABLE evaluation_answers ADD COLUMN layer TEXT;
