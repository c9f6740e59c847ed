-- The order of labels is that in which their rows were written: times are equal within a millisecond, and
-- ids are random there. What was taken back stays in the history, marked.
CREATE TABLE labels_before AS SELECT rowid AS seq, * FROM labels;
DROP TABLE labels;
CREATE TABLE labels (
    seq INTEGER PRIMARY KEY, -- the order of the history
    id TEXT NOT NULL UNIQUE,
    query_hash TEXT NOT NULL, -- as in logs
    near_hash TEXT NOT NULL, -- the same for near-duplicates
    query TEXT NOT NULL,
    agent_id TEXT, -- null: no agent fits (out of scope); see `removed`
    removed INTEGER NOT NULL, -- 1: this entry took a label back
    log_id TEXT,
    note TEXT,
    labeler TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('hand', 'bulk', 'import', 'feedback')),
    created_at INTEGER NOT NULL,
    stream TEXT CHECK (stream IN ('hard', 'random')), -- of the label queue, if the question came from there
    final INTEGER NOT NULL DEFAULT 0, -- 1: this label decides alone
    withdrawn INTEGER, -- the labels revision at which this label was taken back; null: it counts
    import_id TEXT,
    origin TEXT -- JSON: the labeler, source and time that the imported file names
) STRICT;
INSERT INTO labels (seq, id, query_hash, near_hash, query, agent_id, removed, log_id, note, labeler, source, created_at, stream)
SELECT seq, id, query_hash, near_hash, query, agent_id, removed, log_id, note, labeler, source, created_at, stream FROM labels_before ORDER BY seq;
DROP TABLE labels_before;
CREATE INDEX labels_query_hash ON labels (query_hash, labeler);
CREATE INDEX labels_near_hash ON labels (near_hash, query_hash);
CREATE INDEX labels_log_id ON labels (log_id);
CREATE INDEX labels_import_id ON labels (import_id) WHERE import_id IS NOT NULL;

-- Until now a removal took all labels of its question away, whoever gave them.
UPDATE labels SET withdrawn = 0 WHERE removed = 0 AND seq < (
    SELECT max(removal.seq) FROM labels AS removal WHERE removal.query_hash = labels.query_hash AND removal.removed = 1
);

ALTER TABLE current_labels ADD COLUMN seq INTEGER NOT NULL DEFAULT 0; -- of the deciding label in `labels`
ALTER TABLE current_labels ADD COLUMN conflict INTEGER NOT NULL DEFAULT 0; -- 1: labelers disagree, and no label is final
DROP INDEX current_labels_agent_id;
CREATE INDEX current_labels_agent_id ON current_labels (agent_id, seq);
CREATE INDEX current_labels_seq ON current_labels (seq);
CREATE INDEX current_labels_conflict ON current_labels (seq) WHERE conflict = 1;

-- Until now the latest label of a question was in force; now the votes of its labelers decide
-- (store/label_rule.py).
UPDATE current_labels SET seq = label.seq, query = label.query, agent_id = label.agent_id, label_id = label.id,
    labeler = label.labeler, created_at = label.created_at, conflict = decided.conflict
FROM (
    SELECT query_hash, last_seq, count(*) OVER question > 1 AS conflict,
        row_number() OVER (PARTITION BY query_hash ORDER BY votes DESC, last_seq DESC) AS place
    FROM (
        SELECT query_hash, count(*) AS votes, max(seq) AS last_seq
        FROM (
            SELECT query_hash, agent_id, max(seq) AS seq FROM labels
            WHERE removed = 0 AND withdrawn IS NULL GROUP BY query_hash, labeler
        )
        GROUP BY query_hash, agent_id
    )
    WINDOW question AS (PARTITION BY query_hash)
) AS decided JOIN labels AS label ON label.seq = decided.last_seq
WHERE decided.place = 1 AND decided.query_hash = current_labels.query_hash;

-- Imports of files, so that one can be rolled back.
CREATE TABLE imports (
    id TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL, -- the id of a key or a user
    report TEXT NOT NULL, -- JSON: what the import answered
    labels INTEGER NOT NULL, -- how many it wrote
    rolled_back_at INTEGER,
    rolled_back_by TEXT
) STRICT;
-- The rows of a file while it is read. They become labels all at once, or none of them does.
CREATE TABLE import_rows (
    import_id TEXT NOT NULL,
    place INTEGER NOT NULL, -- in the file, without duplicates
    query_hash TEXT NOT NULL,
    near_hash TEXT NOT NULL,
    query TEXT NOT NULL,
    agent_id TEXT,
    split TEXT CHECK (split IN ('train', 'validation', 'test')), -- that the file names
    origin TEXT, -- as in labels
    staged_at INTEGER NOT NULL,
    PRIMARY KEY (import_id, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX import_rows_staged_at ON import_rows (staged_at);
