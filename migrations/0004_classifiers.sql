-- Classifiers learned from the labels, and the jobs that learn them. One that is being learned goes
-- on slice by slice; whoever makes a slice holds the job until `claimed_until`.
CREATE TABLE classifiers (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL, -- a key's id, an e-mail address, or "rule"
    started_at INTEGER,
    finished_at INTEGER,
    claimed_until INTEGER NOT NULL DEFAULT 0,
    options TEXT NOT NULL, -- JSON: target accuracy, least labels of an agent, seed
    progress TEXT NOT NULL, -- JSON: stage, slices done
    error TEXT,
    agents TEXT NOT NULL, -- JSON array: the agents that were enabled when the learning began
    labels INTEGER NOT NULL, -- how many were learned from
    last_label_id TEXT, -- the newest of them
    metrics TEXT, -- JSON: of the held-out labels
    per_agent TEXT, -- JSON: labels, threshold and why it is never answered
    size INTEGER, -- bytes of the model
    checksum TEXT -- SHA-256 of the model
) STRICT;
CREATE INDEX classifiers_created_at ON classifiers (created_at, id);
-- The bytes of a model, and what a job keeps between its slices, in parts that fit a row.
CREATE TABLE classifier_parts (
    classifier_id TEXT NOT NULL REFERENCES classifiers (id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('examples', 'state', 'model')),
    part INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (classifier_id, kind, part)
) STRICT;
CREATE TRIGGER classifiers_update_revision AFTER UPDATE OF state ON classifiers WHEN new.state = 'succeeded' BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER classifiers_delete_revision AFTER DELETE ON classifiers BEGIN UPDATE revision SET value = value + 1; END;

-- What the layer that did not answer would have said, for a sample of the answers.
CREATE TABLE shadow_answers (
    log_id TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    layer TEXT NOT NULL CHECK (layer IN ('classifier', 'llm')), -- of the shadow
    agent_id TEXT, -- null: no agent fits
    confidence REAL NOT NULL,
    agrees INTEGER NOT NULL
) STRICT;
CREATE INDEX shadow_answers_created_at ON shadow_answers (created_at);

-- How the classifier answered, in the log row of each answer it was asked for.
ALTER TABLE logs ADD COLUMN classifier TEXT; -- JSON: id, version, agent, score, threshold, sure

-- What drift is seen by: among all answers those that the classifier was asked for, those that it
-- gave, and those that no agent fits. Days that are summed already are summed anew.
ALTER TABLE usage_hours ADD COLUMN classifier_asked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_days ADD COLUMN classifier_asked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_days ADD COLUMN classifier_answers INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_days ADD COLUMN out_of_scope_answers INTEGER NOT NULL DEFAULT 0;
UPDATE summed_days SET current = 0;
