-- What questions with the same content words share: they are in one part of the data set and in one fold.
-- Null in rows of before, until the cron has looked at them.
ALTER TABLE labels ADD COLUMN similar_hash TEXT;
ALTER TABLE splits ADD COLUMN similar_hash TEXT;
CREATE INDEX splits_similar_hash ON splits (similar_hash);
-- Similar questions share a place.
DROP INDEX splits_agent;
CREATE INDEX splits_agent ON splits (agent, place);
-- Near-duplicates are other ones than before: the cron gives all rows their present hashes.
INSERT OR REPLACE INTO rehashing SELECT 'logs', 0, last FROM (SELECT max(seq) AS last FROM logs) WHERE last IS NOT NULL;
INSERT OR REPLACE INTO rehashing SELECT 'labels', 0, last FROM (SELECT max(rowid) AS last FROM labels) WHERE last IS NOT NULL;
-- What a classifier makes of held-out questions that are written otherwise: JSON, null where it was not measured.
ALTER TABLE classifiers ADD COLUMN robustness TEXT;
