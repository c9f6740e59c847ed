-- The turn before the message, as far as it was known: a JSON object of previous_agent, previous_user and
-- previous_assistant. It belongs to the identity of the question: query_hash and near_hash are over both.
ALTER TABLE logs ADD COLUMN context TEXT;
ALTER TABLE labels ADD COLUMN context TEXT;
ALTER TABLE current_labels ADD COLUMN context TEXT;
ALTER TABLE import_rows ADD COLUMN context TEXT;
ALTER TABLE evaluation_items ADD COLUMN context TEXT;

-- The named router that decided; null: the default one.
ALTER TABLE logs ADD COLUMN router TEXT;
-- The decision that this one replaces, after its agent or its caller said that it was wrong.
ALTER TABLE logs ADD COLUMN rerouted_from TEXT;
-- Outcomes beside those that the CHECK of `outcome` knows: it is read before `outcome`.
ALTER TABLE logs ADD COLUMN other_outcome TEXT;
