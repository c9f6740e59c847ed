-- Models measured on held-out labels, by jobs that go on slice by slice; whoever makes a slice holds the
-- job until `claimed_until`.
CREATE TABLE evaluations (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    claimed_until INTEGER NOT NULL DEFAULT 0, -- also the time before which nothing is tried again
    tries INTEGER NOT NULL DEFAULT 0, -- slices that were begun since one got on
    model_ids TEXT NOT NULL, -- JSON array
    split TEXT NOT NULL,
    labels INTEGER NOT NULL, -- questions in evaluation_items
    left_out INTEGER NOT NULL, -- labels of agents that are not enabled
    agents_revision TEXT NOT NULL,
    prompt_version TEXT NOT NULL,
    threshold REAL NOT NULL,
    error TEXT,
    results TEXT -- JSON, once it has succeeded
) STRICT;
CREATE INDEX evaluations_created_at ON evaluations (created_at, id);
-- The labels as they were when the job began.
CREATE TABLE evaluation_items (
    evaluation_id TEXT NOT NULL REFERENCES evaluations (id) ON DELETE CASCADE,
    query_hash TEXT NOT NULL,
    query TEXT NOT NULL,
    agent_id TEXT, -- null: no agent fits
    PRIMARY KEY (evaluation_id, query_hash)
) STRICT, WITHOUT ROWID;
-- What the router decided with each model. One that failed is tried again, up to a number of tries.
CREATE TABLE evaluation_answers (
    evaluation_id TEXT NOT NULL REFERENCES evaluations (id) ON DELETE CASCADE,
    model_id TEXT NOT NULL,
    query_hash TEXT NOT NULL,
    agent_id TEXT, -- that was decided for; null: none fits, or it failed
    is_right INTEGER NOT NULL,
    reason TEXT, -- why another agent stood in, or why it failed
    failed INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    cost_usd REAL,
    ms REAL NOT NULL,
    PRIMARY KEY (evaluation_id, model_id, query_hash)
) STRICT, WITHOUT ROWID;

-- What a model that runs beside the active one would have decided, for a share of its answers.
CREATE TABLE candidate_answers (
    log_id TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    model_id TEXT NOT NULL,
    agent_id TEXT, -- null: none fits, or it failed
    reason TEXT,
    failed INTEGER NOT NULL,
    agrees INTEGER NOT NULL,
    cost_usd REAL,
    ms REAL NOT NULL
) STRICT;
CREATE INDEX candidate_answers_model_id ON candidate_answers (model_id, created_at);
