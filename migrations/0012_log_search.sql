-- Parts of words and of sentences without blanks are found by their trigrams. Older rows than the newest
-- 20,000 are found by whole words alone; `logs_trigrams_start` is the last row without trigrams.
CREATE TABLE logs_trigrams_start (
    seq INTEGER NOT NULL
) STRICT;
INSERT INTO logs_trigrams_start (seq) SELECT max(0, coalesce(max(seq), 0) - 20000) FROM logs;
CREATE VIRTUAL TABLE logs_trigrams USING fts5 (query, content = 'logs', content_rowid = 'seq', tokenize = 'trigram', columnsize = 0);
INSERT INTO logs_trigrams (rowid, query) SELECT seq, query FROM logs WHERE query <> '' AND seq > (SELECT seq FROM logs_trigrams_start);
CREATE TRIGGER logs_insert_trigrams AFTER INSERT ON logs WHEN new.query <> '' BEGIN INSERT INTO logs_trigrams (rowid, query) VALUES (new.seq, new.query); END;
CREATE TRIGGER logs_delete_trigrams AFTER DELETE ON logs WHEN old.query <> '' AND old.seq > (SELECT seq FROM logs_trigrams_start) BEGIN INSERT INTO logs_trigrams (logs_trigrams, rowid, query) VALUES ('delete', old.seq, old.query); END;

-- The log rows of one user or session.
CREATE INDEX logs_user ON logs (user, created_at) WHERE user IS NOT NULL;
CREATE INDEX logs_session ON logs (session, created_at) WHERE session IS NOT NULL;
