-- "Shadow" and "candidate" meant several things. A model that is tried beside the active one is the
-- challenger; a second opinion on a decision, from the layer that did not make it, is an audit sample.
ALTER TABLE shadow_answers RENAME TO audit_samples;
DROP INDEX shadow_answers_created_at;
CREATE INDEX audit_samples_created_at ON audit_samples (created_at);
ALTER TABLE candidate_answers RENAME TO challenger_answers;
DROP INDEX candidate_answers_model_id;
CREATE INDEX challenger_answers_model_id ON challenger_answers (model_id, created_at);
UPDATE config SET key = 'challenger' WHERE key = 'shadow';
UPDATE config SET key = 'audit_sample_share' WHERE key = 'classifier_shadow_share';
