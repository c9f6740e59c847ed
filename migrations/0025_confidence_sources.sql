-- Where a confidence comes from has one more value, "decision_model", and SQLite cannot change a CHECK. The column
-- is replaced by one without: older rows keep theirs, and no row is rewritten.
ALTER TABLE logs RENAME COLUMN confidence_source TO confidence_source_before;
ALTER TABLE logs ADD COLUMN confidence_source TEXT;
-- Of what the challenger was asked. Null in older rows: that of the log row.
ALTER TABLE challenger_answers ADD COLUMN prompt_version TEXT;
