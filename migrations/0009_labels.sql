-- What near-duplicates share, computed when a log row is written. Older rows have none.
ALTER TABLE logs ADD COLUMN near_hash TEXT;

-- A key has one feedback on a decision, its last.
DELETE FROM feedback WHERE EXISTS (
    SELECT 1 FROM feedback later
    WHERE later.decision_id = feedback.decision_id AND later.key_id = feedback.key_id AND later.id > feedback.id
);
DROP INDEX feedback_decision_id;
CREATE UNIQUE INDEX feedback_decision_id ON feedback (decision_id, key_id);

-- Users of Cloudflare Access are named by their id, no longer by their e-mail address, but for the audit,
-- which never changes. Of users that are gone each gets an id that leads to nobody.
CREATE TABLE person_ids (email TEXT PRIMARY KEY, id TEXT NOT NULL) STRICT;
INSERT INTO person_ids (email, id) SELECT email, id FROM users;
INSERT OR IGNORE INTO person_ids (email, id) SELECT who, 'usr_' || lower(hex(randomblob(12))) FROM (SELECT DISTINCT key_id AS who FROM logs) WHERE instr(who, '@') > 0;
INSERT OR IGNORE INTO person_ids (email, id) SELECT who, 'usr_' || lower(hex(randomblob(12))) FROM (SELECT DISTINCT labeler AS who FROM labels) WHERE instr(who, '@') > 0;
INSERT OR IGNORE INTO person_ids (email, id) SELECT who, 'usr_' || lower(hex(randomblob(12))) FROM (SELECT DISTINCT key_id AS who FROM feedback) WHERE instr(who, '@') > 0;
INSERT OR IGNORE INTO person_ids (email, id) SELECT who, 'usr_' || lower(hex(randomblob(12))) FROM (SELECT DISTINCT key_id AS who FROM usage_hours) WHERE instr(who, '@') > 0;
INSERT OR IGNORE INTO person_ids (email, id) SELECT who, 'usr_' || lower(hex(randomblob(12))) FROM (SELECT DISTINCT value AS who FROM usage_days WHERE dimension = 'key') WHERE instr(who, '@') > 0;
INSERT OR IGNORE INTO person_ids (email, id) SELECT who, 'usr_' || lower(hex(randomblob(12))) FROM (SELECT created_by AS who FROM classifiers UNION SELECT created_by FROM loras UNION SELECT created_by FROM evaluations) WHERE instr(who, '@') > 0;
UPDATE logs SET key_id = (SELECT id FROM person_ids WHERE email = key_id) WHERE key_id IN (SELECT email FROM person_ids);
UPDATE labels SET labeler = (SELECT id FROM person_ids WHERE email = labeler) WHERE labeler IN (SELECT email FROM person_ids);
UPDATE current_labels SET labeler = (SELECT id FROM person_ids WHERE email = labeler) WHERE labeler IN (SELECT email FROM person_ids);
UPDATE feedback SET key_id = (SELECT id FROM person_ids WHERE email = key_id) WHERE key_id IN (SELECT email FROM person_ids);
UPDATE usage_hours SET key_id = (SELECT id FROM person_ids WHERE email = key_id) WHERE key_id IN (SELECT email FROM person_ids);
UPDATE latency_hours SET key_id = (SELECT id FROM person_ids WHERE email = key_id) WHERE key_id IN (SELECT email FROM person_ids);
UPDATE usage_days SET value = (SELECT id FROM person_ids WHERE email = value) WHERE dimension = 'key' AND value IN (SELECT email FROM person_ids);
UPDATE latency_days SET value = (SELECT id FROM person_ids WHERE email = value) WHERE dimension = 'key' AND value IN (SELECT email FROM person_ids);
UPDATE classifiers SET created_by = (SELECT id FROM person_ids WHERE email = created_by) WHERE created_by IN (SELECT email FROM person_ids);
UPDATE loras SET created_by = (SELECT id FROM person_ids WHERE email = created_by) WHERE created_by IN (SELECT email FROM person_ids);
UPDATE evaluations SET created_by = (SELECT id FROM person_ids WHERE email = created_by) WHERE created_by IN (SELECT email FROM person_ids);
DROP TABLE person_ids;

-- Erasures that are not finished yet; the cron continues them.
CREATE TABLE erasures (
    id TEXT PRIMARY KEY,
    target TEXT NOT NULL, -- JSON; deleted with the row at the end
    position INTEGER NOT NULL, -- the log row up to which it has looked
    created_at INTEGER NOT NULL
) STRICT;
-- Rows for which nothing was decided have no query hash; an erasure finds them by this one.
CREATE INDEX logs_undecided ON logs (near_hash, seq) WHERE query_hash IS NULL AND near_hash IS NOT NULL;

-- Audit rows never change, and go only when the setting audit_retention_days says so.
DROP TRIGGER audit_no_delete;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit WHEN NOT EXISTS (
    SELECT 1 FROM config WHERE key = 'audit_retention_days'
    AND old.created_at < unixepoch() * 1000 - CAST(value AS INTEGER) * 86400000
) BEGIN SELECT raise(ABORT, 'audit rows stay'); END;

-- Which stream of the label queue a labelled question came from. A question that was once drawn at random
-- stays `sampled`: only these measure accuracy.
ALTER TABLE labels ADD COLUMN stream TEXT CHECK (stream IN ('hard', 'random'));
ALTER TABLE current_labels ADD COLUMN sampled INTEGER NOT NULL DEFAULT 0;
