-- Named routers in one installation: each has its own agents, and its own values of some settings. The router
-- "default" has no row: it is all agents with the installation's settings.
CREATE TABLE routers (
    id TEXT PRIMARY KEY,
    name TEXT,
    agents TEXT, -- JSON array of ids; null: all
    default_agent TEXT, -- the fallback agent; null: the installation's, if it is among the agents
    settings TEXT NOT NULL, -- JSON object: the router's own settings by name
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE TRIGGER routers_insert_revision AFTER INSERT ON routers BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER routers_update_revision AFTER UPDATE ON routers BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER routers_delete_revision AFTER DELETE ON routers BEGIN UPDATE revision SET value = value + 1; END;
-- The router that a rule is for; null: all.
ALTER TABLE rules ADD COLUMN router TEXT;

-- Teams of keys and users, and what each of the three may use: JSON arrays of ids, and the id of a router; null is
-- everything.
CREATE TABLE teams (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    agents TEXT,
    models TEXT,
    router TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE TRIGGER teams_insert_access AFTER INSERT ON teams BEGIN UPDATE revision SET access = access + 1; END;
CREATE TRIGGER teams_update_access AFTER UPDATE ON teams BEGIN UPDATE revision SET access = access + 1; END;
CREATE TRIGGER teams_delete_access AFTER DELETE ON teams BEGIN UPDATE revision SET access = access + 1; END;
ALTER TABLE keys ADD COLUMN team_id TEXT REFERENCES teams (id);
ALTER TABLE keys ADD COLUMN router TEXT;
ALTER TABLE users ADD COLUMN team_id TEXT REFERENCES teams (id);
ALTER TABLE users ADD COLUMN agents TEXT;
ALTER TABLE users ADD COLUMN models TEXT;
ALTER TABLE users ADD COLUMN router TEXT;
