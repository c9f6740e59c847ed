-- Answers that D1 refused to log.
CREATE TABLE dead_letters (
    id TEXT PRIMARY KEY, -- of the log row, or message_… of a message that cannot be read
    failed_at INTEGER NOT NULL, -- the last time
    error TEXT NOT NULL,
    entry TEXT NOT NULL -- what was to be written, as JSON
) STRICT;
