-- What was decided: a stage named the agent, the default agent answered instead, or nobody did. Null:
-- nothing was decided, or the row is older than this column (then the layer tells). `confidence` is what
-- a stage stated for its answer, whatever came of it.
ALTER TABLE logs ADD COLUMN outcome TEXT CHECK (outcome IN ('agent', 'fallback', 'none'));
