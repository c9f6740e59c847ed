-- What near-duplicates share, computed when a log row is written. Older rows have none.
ALTER TABLE logs ADD COLUMN near_hash TEXT;

-- A key has one feedback on a decision, its last.
DELETE FROM feedback WHERE EXISTS (
    SELECT 1 FROM feedback later
    WHERE later.decision_id = feedback.decision_id AND later.key_id = feedback.key_id AND later.id > feedback.id
);
DROP INDEX feedback_decision_id;
CREATE UNIQUE INDEX feedback_decision_id ON feedback (decision_id, key_id);
