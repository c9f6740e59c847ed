-- Embedding models turn texts into vectors. A CHECK cannot be changed, so the table is copied.
ALTER TABLE models RENAME TO old_models;
CREATE TABLE models (
    id TEXT PRIMARY KEY,
    type TEXT NOT NULL CHECK (type IN ('base', 'lora', 'decision', 'embedding', 'classifier')),
    base_model TEXT NOT NULL,
    adapter TEXT,
    status TEXT NOT NULL CHECK (status IN ('available', 'not_ready', 'retired')),
    aliases TEXT NOT NULL, -- JSON array
    context_window INTEGER,
    input_price REAL, -- USD per million tokens
    output_price REAL,
    supports_lora INTEGER NOT NULL,
    json_mode INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    provider TEXT NOT NULL DEFAULT 'workers-ai',
    logprobs INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO models (id, type, base_model, adapter, status, aliases, context_window, input_price, output_price, supports_lora, json_mode, created_at, updated_at, provider, logprobs)
SELECT id, type, base_model, adapter, status, aliases, context_window, input_price, output_price, supports_lora, json_mode, created_at, updated_at, provider, logprobs
FROM old_models;
DROP TABLE old_models;
CREATE TRIGGER models_insert_revision AFTER INSERT ON models BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER models_update_revision AFTER UPDATE ON models BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER models_delete_revision AFTER DELETE ON models BEGIN UPDATE revision SET value = value + 1; END;
UPDATE revision SET value = value + 1;
