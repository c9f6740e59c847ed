-- Log rows are added to the sums after they were written, many at once. 1: so; null: an older row, which is in the
-- sums since it was written.
ALTER TABLE logs ADD COLUMN counted_later INTEGER;
-- The last log row that is in the sums.
CREATE TABLE summed_logs (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL
) STRICT;
INSERT INTO summed_logs (id, seq) SELECT 1, coalesce(max(seq), 0) FROM logs;
