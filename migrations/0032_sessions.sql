-- What is remembered of a conversation between its requests: one row for each session of a key or a user.
CREATE TABLE sessions (
    owner TEXT NOT NULL, -- the id of the key or the user
    key TEXT NOT NULL, -- a hash of the caller's id of the session
    id TEXT, -- the caller's id and user as in `logs`; null while texts are not stored
    user TEXT,
    agent_id TEXT, -- that answered last
    previous_user TEXT, -- the last turn; null while texts are not stored
    previous_assistant TEXT,
    query_hash TEXT, -- of previous_user, as in `logs`: an erasure finds the text by it
    state TEXT NOT NULL, -- a JSON object (domain/session.py, SessionState)
    router TEXT, -- the named router that decided last; null: the default one
    turns INTEGER NOT NULL,
    version INTEGER NOT NULL, -- counts the writes of the row, also those of earlier sessions with this id
    ended INTEGER NOT NULL, -- 1: the row stays until it expires, so that no isolate brings the session back
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (owner, key)
) STRICT;
CREATE INDEX sessions_expires_at ON sessions (expires_at);
