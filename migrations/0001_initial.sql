-- Agents: who can answer. Exactly one is the default, the one that answers when no other can be chosen.
CREATE TABLE agents (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    examples TEXT NOT NULL, -- JSON array of strings
    endpoint TEXT,
    system_prompt TEXT,
    model TEXT,
    enabled INTEGER NOT NULL,
    is_default INTEGER NOT NULL,
    created_at INTEGER NOT NULL, -- unix milliseconds, as every time here
    updated_at INTEGER NOT NULL,
    CHECK (is_default = 0 OR enabled = 1)
) STRICT;
CREATE UNIQUE INDEX agents_one_default ON agents (is_default) WHERE is_default = 1;

-- Settings that the control plane stored; they win over wrangler's [vars].
CREATE TABLE config (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL, -- JSON
    updated_at INTEGER NOT NULL
) STRICT;

-- One number that every change of agents or config raises, so that an isolate knows with one small
-- read whether the routing configuration it keeps is still true. Triggers, so that no writer can forget.
CREATE TABLE revision (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    value INTEGER NOT NULL
) STRICT;
INSERT INTO revision (id, value) VALUES (1, 1);
CREATE TRIGGER agents_insert_revision AFTER INSERT ON agents BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER agents_update_revision AFTER UPDATE ON agents BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER agents_delete_revision AFTER DELETE ON agents BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER config_insert_revision AFTER INSERT ON config BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER config_update_revision AFTER UPDATE ON config BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER config_delete_revision AFTER DELETE ON config BEGIN UPDATE revision SET value = value + 1; END;

-- What the active model answered, under a hash of everything that the answer depends on.
CREATE TABLE decision_cache (
    key TEXT PRIMARY KEY,
    answer TEXT NOT NULL, -- JSON
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX decision_cache_expires_at ON decision_cache (expires_at);

-- One row an answer of POST /v1/route. Ids begin with the time, so their order is the order in time.
CREATE TABLE logs (
    seq INTEGER PRIMARY KEY, -- what the full text index points to; never reused, never renumbered
    id TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    query TEXT NOT NULL, -- empty while `log_queries` is off
    query_hash TEXT, -- SHA-256 of the normalised query, the first 32 hex digits
    user TEXT,
    session TEXT,
    metadata TEXT, -- JSON object
    candidates TEXT, -- JSON array
    status INTEGER NOT NULL, -- HTTP status of the answer
    agent_id TEXT, -- null when the answer was an error ("fallback": false)
    confidence REAL NOT NULL,
    threshold REAL NOT NULL,
    layer TEXT NOT NULL,
    reason TEXT,
    alternatives TEXT NOT NULL, -- JSON array
    model TEXT,
    adapter TEXT,
    cache TEXT NOT NULL,
    attempts TEXT NOT NULL, -- JSON array
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cost_usd REAL,
    latency_ms REAL NOT NULL,
    gateway_log_id TEXT,
    gateway_cache_status TEXT,
    prompt_version TEXT NOT NULL,
    agents_revision TEXT NOT NULL
) STRICT;
