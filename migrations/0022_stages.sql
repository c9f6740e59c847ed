-- What each stage of the pipeline made of the query: a JSON array of name, outcome, reason, ms, scores (at most 5), none_probability.
ALTER TABLE logs ADD COLUMN stages TEXT;
