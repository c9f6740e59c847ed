-- What was decided: a stage named the agent, the default agent answered instead, or nobody did. Null:
-- nothing was decided, or the row is older than this column (then the layer tells). `confidence` is what
-- a stage stated for its answer, whatever came of it.
ALTER TABLE logs ADD COLUMN outcome TEXT CHECK (outcome IN ('agent', 'fallback', 'none'));

-- Labels decide at once, in every isolate: this counts the changes of labels in force, and of cached
-- answers that were dropped. 0: there never was one.
ALTER TABLE revision ADD COLUMN labels INTEGER NOT NULL DEFAULT 0;
UPDATE revision SET labels = 1 WHERE EXISTS (SELECT 1 FROM current_labels);

-- A cached answer that somebody corrected is dropped: the question is decided again, past every cache.
ALTER TABLE decision_cache ADD COLUMN query_hash TEXT; -- as in logs; null while `log_queries` is off
ALTER TABLE decision_cache ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;
CREATE INDEX decision_cache_query_hash ON decision_cache (query_hash);

-- Hashes of questions are over the canonical text. Rows of before may have others; the cron looks at them
-- bit by bit, and a row here goes once all of its table are done.
CREATE TABLE rehashing (
    source TEXT PRIMARY KEY CHECK (source IN ('logs', 'labels')),
    after INTEGER NOT NULL, -- the row up to which it has looked
    until INTEGER NOT NULL -- the last row of before
) STRICT;
INSERT INTO rehashing SELECT 'logs', 0, last FROM (SELECT max(seq) AS last FROM logs) WHERE last IS NOT NULL;
INSERT INTO rehashing SELECT 'labels', 0, last FROM (SELECT max(rowid) AS last FROM labels) WHERE last IS NOT NULL;
