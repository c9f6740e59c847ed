-- Evaluations ask one question of each group of near-duplicates; null: an older one that asked all.
ALTER TABLE evaluations ADD COLUMN near_duplicates INTEGER;

-- The result of a classifier on the test part, whose labels chose nothing of it.
ALTER TABLE classifiers ADD COLUMN test_score TEXT; -- JSON

-- The settings of the promotion check have new names.
UPDATE config SET key = 'promotion_alpha' WHERE key = 'gate_alpha';
UPDATE config SET key = 'promotion_min_labels' WHERE key = 'gate_min_labels';
