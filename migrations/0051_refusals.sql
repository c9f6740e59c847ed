-- Requests that were refused before they were routed, by five minutes; of older days by the hour. No text and nothing
-- of a request is in it.
CREATE TABLE refusals (
    slot INTEGER NOT NULL, -- unix milliseconds of its start
    key_id TEXT NOT NULL, -- of the key or the user; empty: the credential is none that is known
    reason TEXT NOT NULL, -- domain/refusal.py
    requests INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (slot, key_id, reason)
) STRICT, WITHOUT ROWID;

-- Sums per five minutes of the last days, for charts of short ranges.
CREATE TABLE usage_slots (
    slot INTEGER NOT NULL, -- unix milliseconds of its start
    layer TEXT NOT NULL,
    answers INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    fallback_answers INTEGER NOT NULL,
    out_of_scope_answers INTEGER NOT NULL,
    classifier_asked INTEGER NOT NULL,
    classifier_answers INTEGER NOT NULL,
    cache_hits INTEGER NOT NULL,
    without_model INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    failed_attempts INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cost_usd REAL NOT NULL,
    unpriced_answers INTEGER NOT NULL,
    PRIMARY KEY (slot, layer)
) STRICT, WITHOUT ROWID;
CREATE TABLE latency_slots (
    slot INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    answers INTEGER NOT NULL,
    PRIMARY KEY (slot, bucket)
) STRICT, WITHOUT ROWID;

-- The history of selections, without a look at the other entries.
CREATE INDEX audit_selections ON audit (id) WHERE action IN ('select', 'disable', 'update') AND resource IN ('model', 'classifier', 'config');
