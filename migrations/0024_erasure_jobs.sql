-- Erasures are jobs too: whose texts they are is in the checkpoint, which is emptied at the end.
INSERT INTO jobs (id, kind, resource_id, state, created_at, updated_at, checkpoint)
SELECT 'job' || substr(id, instr(id, '_')), 'erasure', id, 'queued', created_at, created_at, json_object('target', json(target), 'position', position)
FROM erasures;
DROP TABLE erasures;
