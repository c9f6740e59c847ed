-- Where the confidence of an answer comes from. 'none': there was an answer, and its confidence is unknown
-- (the column `confidence` then has 0). Null: there was no answer, or the row is older than this column.
ALTER TABLE logs ADD COLUMN confidence_source TEXT CHECK (confidence_source IN ('stated', 'logprobs', 'classifier', 'label', 'none'));
-- Whether a model gives the probabilities of its tokens.
ALTER TABLE models ADD COLUMN logprobs INTEGER NOT NULL DEFAULT 0;
