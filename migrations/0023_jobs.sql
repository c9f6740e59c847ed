-- Background work of every kind in one table: what runs, when, and what became of it. Trainings, evaluations,
-- runs of the routing tests and uploads of adapters had their own columns for this.
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, -- that of the resource, with the prefix "job"
    kind TEXT NOT NULL,
    resource_id TEXT NOT NULL, -- the classifier, evaluation, run or adapter
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    run_after INTEGER NOT NULL DEFAULT 0, -- no slice begins before
    lease_until INTEGER NOT NULL DEFAULT 0, -- until then the job belongs to the run that acquired it
    attempts INTEGER NOT NULL DEFAULT 0, -- slices begun since the last one that advanced the job
    failures INTEGER NOT NULL DEFAULT 0, -- in a row; after some of them the job has failed
    done INTEGER NOT NULL DEFAULT 0,
    total INTEGER, -- null: not known yet
    checkpoint TEXT NOT NULL DEFAULT '{}', -- JSON: what the next slice needs of those before it
    error TEXT -- JSON: code, message and what else the kind reports
) STRICT;
CREATE UNIQUE INDEX jobs_resource_id ON jobs (resource_id);
CREATE INDEX jobs_unfinished ON jobs (updated_at) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_kind ON jobs (kind, id);

INSERT INTO jobs (id, kind, resource_id, state, created_at, updated_at, started_at, ended_at, run_after, attempts, failures, done, checkpoint, error)
SELECT 'job' || substr(id, instr(id, '_')), 'training', id, state, created_at, coalesce(finished_at, started_at, created_at), started_at, finished_at,
    iif(state IN ('queued', 'running'), claimed_until, 0), iif(json_valid(progress), coalesce(progress ->> '$.tries', 0), 0), failures,
    state = 'succeeded', progress, CASE WHEN error IS NOT NULL THEN json_object('code', 'training_failed', 'message', error) END
FROM classifiers;
UPDATE jobs SET total = 1 WHERE kind = 'training' AND state = 'succeeded';

INSERT INTO jobs (id, kind, resource_id, state, created_at, updated_at, started_at, ended_at, run_after, attempts, failures, done, total, error)
SELECT 'job' || substr(id, instr(id, '_')), iif(source = 'labels', 'evaluation', 'routing_test_run'), id, state, created_at,
    coalesce(finished_at, started_at, created_at), started_at, finished_at, iif(state IN ('queued', 'running'), claimed_until, 0), tries, failures,
    (SELECT count(*) FROM evaluation_answers WHERE evaluation_id = evaluations.id AND (failed = 0 OR evaluation_answers.tries >= 3)),
    labels * iif(json_valid(model_ids), json_array_length(model_ids), 1),
    CASE WHEN error IS NOT NULL THEN json_object('code', 'evaluation_failed', 'message', error) END
FROM evaluations;

-- An adapter that was retired after its upload is one whose last step is done.
INSERT INTO jobs (id, kind, resource_id, state, created_at, updated_at, ended_at, run_after, attempts, failures, done, total, error)
SELECT 'job' || substr(id, instr(id, '_')), 'adapter_upload', id,
    CASE state WHEN 'available' THEN 'succeeded' WHEN 'retired' THEN CASE
        WHEN steps NOT LIKE '%"waiting"%' AND steps NOT LIKE '%"failed"%' THEN 'succeeded' WHEN error IS NOT NULL THEN 'failed' ELSE 'cancelled' END
    ELSE state END,
    created_at, coalesce(finished_at, created_at), finished_at, iif(state IN ('queued', 'running'), claimed_until, 0), tries, failures,
    CASE WHEN json_valid(steps) THEN (SELECT count(*) FROM json_each(steps) WHERE value ->> 'state' = 'done') ELSE 0 END,
    CASE WHEN json_valid(steps) THEN json_array_length(steps) END, error
FROM loras;

ALTER TABLE loras ADD COLUMN retired_at INTEGER;
UPDATE loras SET retired_at = coalesce(finished_at, created_at) WHERE state = 'retired';
DROP INDEX loras_name;
CREATE UNIQUE INDEX loras_name ON loras (name) WHERE retired_at IS NULL;
ALTER TABLE loras DROP COLUMN state;
ALTER TABLE loras DROP COLUMN finished_at;
ALTER TABLE loras DROP COLUMN claimed_until;
ALTER TABLE loras DROP COLUMN tries;
ALTER TABLE loras DROP COLUMN error;
ALTER TABLE loras DROP COLUMN failures;

ALTER TABLE evaluations DROP COLUMN state;
ALTER TABLE evaluations DROP COLUMN started_at;
ALTER TABLE evaluations DROP COLUMN finished_at;
ALTER TABLE evaluations DROP COLUMN claimed_until;
ALTER TABLE evaluations DROP COLUMN tries;
ALTER TABLE evaluations DROP COLUMN error;
ALTER TABLE evaluations DROP COLUMN failures;

-- A classifier that can answer is one with a checksum: the routing configuration has to know of it.
DROP TRIGGER classifiers_update_revision;
ALTER TABLE classifiers DROP COLUMN state;
ALTER TABLE classifiers DROP COLUMN started_at;
ALTER TABLE classifiers DROP COLUMN finished_at;
ALTER TABLE classifiers DROP COLUMN claimed_until;
ALTER TABLE classifiers DROP COLUMN progress;
ALTER TABLE classifiers DROP COLUMN error;
ALTER TABLE classifiers DROP COLUMN failures;
CREATE TRIGGER classifiers_update_revision AFTER UPDATE OF checksum ON classifiers WHEN new.checksum IS NOT NULL BEGIN UPDATE revision SET value = value + 1; END;

-- A job goes with its resource.
CREATE TRIGGER classifiers_delete_job AFTER DELETE ON classifiers BEGIN DELETE FROM jobs WHERE resource_id = old.id; END;
CREATE TRIGGER evaluations_delete_job AFTER DELETE ON evaluations BEGIN DELETE FROM jobs WHERE resource_id = old.id; END;
