-- Webhooks: who is told of events. `secret` signs the deliveries; the one before it, too, until `previous_until`.
-- Log rows up to `seen_seq` were counted for the event decision.low_confidence, the last time at `seen_at`.
CREATE TABLE webhooks (
    id TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    events TEXT NOT NULL, -- JSON array
    secret TEXT NOT NULL,
    previous_secret TEXT,
    previous_until INTEGER,
    enabled INTEGER NOT NULL,
    seen_seq INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
-- The outbox: one row for each event and webhook. `once` names what a webhook is told once.
CREATE TABLE webhook_deliveries (
    id TEXT PRIMARY KEY,
    webhook_id TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event TEXT NOT NULL,
    once TEXT,
    data TEXT NOT NULL, -- JSON object of ids and figures
    state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed')),
    created_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at INTEGER NOT NULL,
    last_status INTEGER, -- HTTP status of the last answer
    last_error TEXT,
    delivered_at INTEGER
) STRICT;
CREATE UNIQUE INDEX webhook_deliveries_once ON webhook_deliveries (webhook_id, once) WHERE once IS NOT NULL;
CREATE INDEX webhook_deliveries_of ON webhook_deliveries (webhook_id, id);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_attempt_at) WHERE state = 'waiting';
CREATE INDEX webhook_deliveries_created_at ON webhook_deliveries (created_at);
-- In the transaction that ends the job: no end is lost, and none is told twice.
CREATE TRIGGER jobs_ended AFTER UPDATE OF state ON jobs WHEN new.state IN ('succeeded', 'failed', 'cancelled') AND old.state NOT IN ('succeeded', 'failed', 'cancelled') BEGIN INSERT INTO webhook_deliveries (id, webhook_id, event, data, state, created_at, next_attempt_at) SELECT printf('whd_%012x%s', new.updated_at, lower(hex(randomblob(10)))), id, 'job.ended', json_object('job_id', new.id, 'kind', new.kind, 'resource_id', new.resource_id, 'state', new.state, 'error_code', iif(json_valid(new.error), new.error ->> '$.code', NULL)), 'waiting', new.updated_at, new.updated_at FROM webhooks WHERE enabled = 1 AND EXISTS (SELECT 1 FROM json_each(events) WHERE value = 'job.ended'); END;
