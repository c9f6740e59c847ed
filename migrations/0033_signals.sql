-- Weak feedback on decisions: an agent or a caller said that a decision was wrong (not_mine, rerouted), or what
-- the person wrote next speaks for or against it (rephrased, human_wanted, thanks). Signals decide what is labeled
-- first; they never become labels. They go with their log row.
CREATE TABLE signals (
    id TEXT PRIMARY KEY,
    log_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    agent_id TEXT, -- that of the decision; null: nobody answered
    key_id TEXT NOT NULL, -- the caller whose request it comes from
    reason TEXT -- what the agent or the caller gave as its reason
) STRICT;
-- One of each kind for an agent of a decision.
CREATE UNIQUE INDEX signals_log ON signals (log_id, kind, coalesce(agent_id, ''));
CREATE INDEX signals_created_at ON signals (created_at, kind, agent_id);
CREATE INDEX logs_rerouted_from ON logs (rerouted_from) WHERE rerouted_from IS NOT NULL;
