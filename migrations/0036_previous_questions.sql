-- The question hash of what the user said in the turn before the message, without a context of its own: an erasure
-- finds by it the rows whose context has an erased text.
ALTER TABLE logs ADD COLUMN previous_hash TEXT;
ALTER TABLE labels ADD COLUMN previous_hash TEXT;
ALTER TABLE import_rows ADD COLUMN previous_hash TEXT;
CREATE INDEX logs_previous ON logs (previous_hash) WHERE previous_hash IS NOT NULL;
CREATE INDEX labels_previous ON labels (previous_hash) WHERE previous_hash IS NOT NULL;
