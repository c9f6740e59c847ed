-- Replays: logged queries through a changed configuration. They hold ids of log rows and no texts, so that a text is
-- gone when its log row is.
CREATE TABLE replays (
    id TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    request TEXT NOT NULL, -- JSON: the window, sample, seed, filter, baseline, budget and changes
    basis TEXT NOT NULL, -- JSON: fingerprints of the configurations, and what the changes touch as it was
    survey TEXT NOT NULL, -- JSON: rows, looked_at, eligible, left_out, estimate, warnings
    drawn INTEGER NOT NULL,
    report TEXT, -- JSON, once it has succeeded
    applied_at INTEGER,
    applied_by TEXT
) STRICT;
CREATE TABLE replay_items (
    replay_id TEXT NOT NULL REFERENCES replays (id) ON DELETE CASCADE,
    log_id TEXT NOT NULL,
    place INTEGER NOT NULL, -- in the order in which they were drawn
    state TEXT NOT NULL DEFAULT 'open', -- open, done, failed (no model answers), or left_out
    tries INTEGER NOT NULL DEFAULT 0, -- that failed
    reason TEXT, -- why it failed or was left out
    label TEXT, -- in force when it was replayed: an agent, or "none"
    before TEXT, -- JSON: outcome, agent_id, layer, reason, confidence, right
    after TEXT, -- JSON: the same
    before_model INTEGER, -- 1: a model was needed
    after_model INTEGER,
    before_cost REAL, -- USD of the calls that decided; null: not known
    after_cost REAL,
    calls INTEGER NOT NULL DEFAULT 0, -- of models, made for the replay
    spent_usd REAL NOT NULL DEFAULT 0,
    origin TEXT, -- of the ranking afterwards: log, cache, or null
    PRIMARY KEY (replay_id, log_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX replay_items_open ON replay_items (replay_id, tries, place) WHERE state = 'open';
CREATE INDEX replay_items_log_id ON replay_items (log_id);
CREATE TRIGGER replays_delete_job AFTER DELETE ON replays BEGIN DELETE FROM jobs WHERE resource_id = old.id; END;
