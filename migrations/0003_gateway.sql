-- Chat completions are answers too, and a stream can end before its end.
ALTER TABLE logs ADD COLUMN kind TEXT NOT NULL DEFAULT 'route' CHECK (kind IN ('route', 'chat'));
ALTER TABLE logs ADD COLUMN ending TEXT NOT NULL DEFAULT 'complete' CHECK (ending IN ('complete', 'cut', 'client_gone'));
ALTER TABLE logs ADD COLUMN upstream_ms REAL NOT NULL DEFAULT 0; -- of latency_ms, what was spent waiting for models and agents
ALTER TABLE logs ADD COLUMN trace_id TEXT;

-- What each limited key has used, reserved before an answer and settled after it.
ALTER TABLE keys ADD COLUMN monthly_token_budget INTEGER;
CREATE TABLE key_usage (
    key_id TEXT PRIMARY KEY REFERENCES keys (id),
    minute INTEGER NOT NULL, -- unix minutes
    minute_requests INTEGER NOT NULL,
    month INTEGER NOT NULL, -- 202611, in UTC
    tokens INTEGER NOT NULL, -- in that month, with what is reserved
    cost_usd REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- A vendor's model is there only while its provider lists it; what was changed of it stays.
ALTER TABLE models ADD COLUMN provider TEXT NOT NULL DEFAULT 'workers-ai';

-- How an agent with an endpoint is spoken to.
ALTER TABLE agents ADD COLUMN protocol TEXT NOT NULL DEFAULT 'openai' CHECK (protocol IN ('openai', 'a2a', 'handoff'));

-- Chat answers that may be given again, under a hash of everything that they depend on.
CREATE TABLE chat_cache (
    key TEXT PRIMARY KEY,
    answer TEXT NOT NULL, -- JSON
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX chat_cache_expires_at ON chat_cache (expires_at);
