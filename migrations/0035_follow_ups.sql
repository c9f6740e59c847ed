-- What a classifier learned of conversations: a JSON object; null: a training from before.
ALTER TABLE classifiers ADD COLUMN follow_ups TEXT;
-- The decisions of models in conversations, from which a training learns: a query has the same conditions.
CREATE INDEX logs_in_conversations ON logs (id) WHERE context IS NOT NULL AND layer IN ('llm', 'decision_model');
