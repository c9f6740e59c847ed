-- Trigrams find words and parts of words, so a text without a letter beyond ASCII needs no other index. Words with
-- diacritics are in logs_fts too, which finds them without. Older rows are in both: `words_until` is the last of them.
ALTER TABLE logs_trigrams_start ADD COLUMN words_until INTEGER NOT NULL DEFAULT 0;
UPDATE logs_trigrams_start SET words_until = (SELECT coalesce(max(seq), 0) FROM logs);
DROP TRIGGER logs_insert_fts;
DROP TRIGGER logs_delete_fts;
CREATE TRIGGER logs_insert_fts AFTER INSERT ON logs WHEN new.query GLOB '*[À-῿]*' BEGIN INSERT INTO logs_fts (rowid, query) VALUES (new.seq, new.query); END;
CREATE TRIGGER logs_delete_fts AFTER DELETE ON logs WHEN old.query GLOB '*[À-῿]*' OR old.seq <= (SELECT words_until FROM logs_trigrams_start) BEGIN INSERT INTO logs_fts (logs_fts, rowid, query) VALUES ('delete', old.seq, old.query); END;
