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
