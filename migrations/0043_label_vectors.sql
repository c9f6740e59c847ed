-- What an embedding model made of the texts that trainings learn from: labels, decisions of models, and what agents
-- say of themselves. A vector goes with the label and the log rows of its question.
CREATE TABLE label_vectors (
    query_hash TEXT NOT NULL, -- of the question
    model TEXT NOT NULL, -- a hash of what says which model made it
    vector TEXT NOT NULL, -- signed bytes, in base64
    of_agent INTEGER NOT NULL, -- 1: an agent's text, which is no question
    used_at INTEGER NOT NULL, -- when a training last wanted it
    PRIMARY KEY (query_hash, model)
) STRICT, WITHOUT ROWID;
-- The second classifier of a classifier, which also sees the query's vector.
CREATE TABLE embedding_classifiers (
    id TEXT PRIMARY KEY, -- also the resource of the job that trains it
    classifier_id TEXT NOT NULL UNIQUE REFERENCES classifiers (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    model_id TEXT NOT NULL, -- the embedding model
    identity TEXT NOT NULL, -- a hash of what says which model that is
    width INTEGER, -- numbers of its vectors
    metrics TEXT, -- JSON: of the held-out labels
    refusal TEXT, -- why it answers nothing
    size INTEGER, -- bytes of the model
    checksum TEXT -- SHA-256 of the model
) STRICT;
CREATE TABLE embedding_parts (
    embedding_id TEXT NOT NULL REFERENCES embedding_classifiers (id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('examples', 'state', 'model')),
    part INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (embedding_id, kind, part)
) STRICT;
CREATE TRIGGER embedding_classifiers_update_revision AFTER UPDATE OF checksum ON embedding_classifiers BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER embedding_classifiers_delete_revision AFTER DELETE ON embedding_classifiers BEGIN UPDATE revision SET value = value + 1; END;
CREATE TRIGGER embedding_classifiers_delete_job AFTER DELETE ON embedding_classifiers BEGIN DELETE FROM jobs WHERE resource_id = old.id; END;
