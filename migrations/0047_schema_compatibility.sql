-- The oldest schema version whose Worker may still change this database, for a Worker that was rolled back: it runs on
-- migrations that it does not know. A migration after which an older Worker must not write sets it to its own number.
CREATE TABLE schema_compatibility (
    id INTEGER PRIMARY KEY CHECK (id = 1), -- one row
    writable_from INTEGER NOT NULL
) STRICT;
INSERT INTO schema_compatibility (id, writable_from) VALUES (1, 47);
