-- Rules: the first stage of the pipeline. `position` counts from 1 without gaps; the control plane keeps it so.
CREATE TABLE rules (
    id TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    name TEXT,
    conditions TEXT NOT NULL, -- JSON object: `when` in the API
    effect TEXT, -- JSON object: `then` in the API; null: the mentioned agent
    enabled INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX rules_position ON rules (position);
CREATE TRIGGER rules_insert_revision AFTER INSERT ON rules BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER rules_update_revision AFTER UPDATE ON rules BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER rules_delete_revision AFTER DELETE ON rules BEGIN UPDATE revision SET value = value + 1; END;
