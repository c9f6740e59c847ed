-- Changes of keys and users have a number of their own, so that they do not make every isolate read the
-- routing configuration again and close its circuit breakers.
ALTER TABLE revision ADD COLUMN access INTEGER NOT NULL DEFAULT 1;
DROP TRIGGER keys_insert_revision;
DROP TRIGGER keys_update_revision;
DROP TRIGGER keys_delete_revision;
DROP TRIGGER users_insert_revision;
DROP TRIGGER users_update_revision;
DROP TRIGGER users_delete_revision;
CREATE TRIGGER keys_insert_access AFTER INSERT ON keys BEGIN UPDATE revision SET access = access + 1; END;
CREATE TRIGGER keys_update_access AFTER UPDATE ON keys BEGIN UPDATE revision SET access = access + 1; END;
CREATE TRIGGER keys_delete_access AFTER DELETE ON keys BEGIN UPDATE revision SET access = access + 1; END;
CREATE TRIGGER users_insert_access AFTER INSERT ON users BEGIN UPDATE revision SET access = access + 1; END;
CREATE TRIGGER users_update_access AFTER UPDATE ON users BEGIN UPDATE revision SET access = access + 1; END;
CREATE TRIGGER users_delete_access AFTER DELETE ON users BEGIN UPDATE revision SET access = access + 1; END;

-- What a vendor's models cost, as JSON: {model id: {input_per_million, output_per_million, currency}}.
ALTER TABLE providers ADD COLUMN prices TEXT NOT NULL DEFAULT '{}';

-- What a key may use: JSON arrays of ids; null is everything.
ALTER TABLE keys ADD COLUMN agents TEXT;
ALTER TABLE keys ADD COLUMN models TEXT;
