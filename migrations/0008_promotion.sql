-- Evaluations ask one question of each group of near-duplicates; null: an older one that asked all.
ALTER TABLE evaluations ADD COLUMN near_duplicates INTEGER;

-- The result of a classifier on the test part, whose labels chose nothing of it.
ALTER TABLE classifiers ADD COLUMN test_score TEXT; -- JSON
-- What labels a training that failed needs, and what there are.
ALTER TABLE classifiers ADD COLUMN needs TEXT; -- JSON

-- The part of the data set of each question that was ever labelled, by what near-duplicates share. It is
-- decided once, by the question's place among those of its agent, so that each agent has its share of
-- every part.
CREATE TABLE splits (
    near_hash TEXT PRIMARY KEY,
    agent TEXT NOT NULL, -- of its first label; "none" where no agent fits
    place INTEGER NOT NULL, -- among the questions of that agent, from 0 on
    split TEXT NOT NULL CHECK (split IN ('train', 'validation', 'test'))
) STRICT;
CREATE UNIQUE INDEX splits_agent ON splits (agent, place);
-- Questions that are labelled already stay where they are; those whose label was removed are where the
-- first 32 bits of the near hash had put them.
INSERT INTO splits (near_hash, agent, place, split)
SELECT near_hash, agent, row_number() OVER (PARTITION BY agent ORDER BY near_hash) - 1, split FROM (
    SELECT near_hash, coalesce(agent_id, 'none') AS agent, split, min(label_id) FROM current_labels GROUP BY near_hash
    UNION ALL
    SELECT near_hash, coalesce(agent_id, 'none'),
        CASE WHEN number % 100 >= 90 THEN 'test' WHEN number % 100 >= 80 THEN 'validation' ELSE 'train' END, min(id)
    FROM (
        SELECT id, near_hash, agent_id,
            (instr('0123456789abcdef', substr(near_hash, 1, 1)) - 1) * 268435456
            + (instr('0123456789abcdef', substr(near_hash, 2, 1)) - 1) * 16777216
            + (instr('0123456789abcdef', substr(near_hash, 3, 1)) - 1) * 1048576
            + (instr('0123456789abcdef', substr(near_hash, 4, 1)) - 1) * 65536
            + (instr('0123456789abcdef', substr(near_hash, 5, 1)) - 1) * 4096
            + (instr('0123456789abcdef', substr(near_hash, 6, 1)) - 1) * 256
            + (instr('0123456789abcdef', substr(near_hash, 7, 1)) - 1) * 16
            + (instr('0123456789abcdef', substr(near_hash, 8, 1)) - 1) AS number
        FROM labels WHERE near_hash NOT IN (SELECT near_hash FROM current_labels)
    )
    GROUP BY near_hash
);

-- The settings of the promotion check have new names.
UPDATE config SET key = 'promotion_alpha' WHERE key = 'gate_alpha';
UPDATE config SET key = 'promotion_min_labels' WHERE key = 'gate_min_labels';
