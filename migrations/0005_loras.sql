-- Adapters on their way to Workers AI, and those that have arrived. One that is under way goes on step
-- by step; whoever makes a step holds it until `claimed_until`.
CREATE TABLE loras (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL, -- the finetune's at Workers AI, and the model's here
    base_model TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'available', 'failed', 'retired')),
    source TEXT NOT NULL CHECK (source IN ('files', 'finetune')),
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    finished_at INTEGER,
    claimed_until INTEGER NOT NULL DEFAULT 0, -- also the time before which a step is not tried again
    tries INTEGER NOT NULL DEFAULT 0, -- of the step that is next
    steps TEXT NOT NULL, -- JSON array
    error TEXT, -- JSON
    finetune_id TEXT, -- Workers AI's own
    preflight TEXT NOT NULL, -- JSON array: the rules and what was found
    size INTEGER, -- bytes of the weights
    checksum TEXT, -- SHA-256 of the weights
    rank INTEGER,
    target_modules TEXT NOT NULL -- JSON array
) STRICT;
CREATE INDEX loras_created_at ON loras (created_at, id);
CREATE UNIQUE INDEX loras_name ON loras (name) WHERE state <> 'retired';
-- The files of an adapter until Workers AI has them, in parts that fit a row.
CREATE TABLE lora_parts (
    lora_id TEXT NOT NULL, -- written before there is a row of loras, which comes with the last part
    file TEXT NOT NULL,
    part INTEGER NOT NULL,
    content BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (lora_id, file, part)
) STRICT;
