-- Log rows that the bucket LOG_SINK has: those up to `after_seq`. A slice that is being written ends at `to_seq`; it was
-- begun at `begun_at`, which is in its name, so that it keeps its name if it is written again.
CREATE TABLE log_slices (
    id INTEGER PRIMARY KEY CHECK (id = 1), -- one row
    after_seq INTEGER NOT NULL,
    to_seq INTEGER, -- null: none is being written
    begun_at INTEGER NOT NULL
) STRICT;
INSERT INTO log_slices (id, after_seq, to_seq, begun_at) VALUES (1, 0, NULL, 0);
