-- Queries that no agent fits, in clusters. Items hold ids of log rows and hashes, and no texts, so that a text is gone
-- when its log row is.
CREATE TABLE clusterings (
    id TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    until_seq INTEGER NOT NULL, -- the newest log row when it began
    queries INTEGER, -- that were compared, near-duplicates once
    clustered INTEGER
) STRICT;
CREATE TABLE unmatched_clusters (
    id TEXT PRIMARY KEY,
    clustering_id TEXT NOT NULL REFERENCES clusterings (id) ON DELETE CASCADE,
    place INTEGER NOT NULL, -- the largest first
    name TEXT, -- words that several of its queries share; null: none, or one of them was erased
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'agent', 'labelled', 'dismissed', 'outdated')),
    agent_id TEXT, -- that it became, or was labelled with
    handled_at INTEGER,
    handled_by TEXT
) STRICT;
CREATE INDEX unmatched_clusters_clustering ON unmatched_clusters (clustering_id, place);
CREATE TABLE unmatched_items (
    cluster_id TEXT NOT NULL REFERENCES unmatched_clusters (id) ON DELETE CASCADE,
    log_id TEXT NOT NULL,
    near_hash TEXT NOT NULL,
    place INTEGER NOT NULL, -- the most typical first
    times INTEGER NOT NULL, -- that it was asked, with its near-duplicates
    PRIMARY KEY (cluster_id, log_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX unmatched_items_log_id ON unmatched_items (log_id);
CREATE INDEX unmatched_items_near_hash ON unmatched_items (near_hash);
CREATE INDEX logs_unmatched ON logs (seq) WHERE reason IN ('low_confidence', 'out_of_scope');
CREATE TRIGGER logs_delete_unmatched AFTER DELETE ON logs WHEN old.reason IN ('low_confidence', 'out_of_scope')
BEGIN DELETE FROM unmatched_items WHERE log_id = old.id; END;
CREATE TRIGGER clusterings_delete_job AFTER DELETE ON clusterings BEGIN DELETE FROM jobs WHERE resource_id = old.id; END;
