-- What the retrain rule made of a classifier that it trained: JSON, null where somebody asked for it.
ALTER TABLE classifiers ADD COLUMN rule_outcome TEXT;
-- What to know before it is selected: a JSON array of texts.
ALTER TABLE classifiers ADD COLUMN warnings TEXT;
-- The mix of agents that its thresholds and figures are of: JSON.
ALTER TABLE classifiers ADD COLUMN mix TEXT;
-- Labels that are probably wrong, the surest first: a JSON array of query_hash, agent_id, predicted, score.
ALTER TABLE classifiers ADD COLUMN suspects TEXT;
