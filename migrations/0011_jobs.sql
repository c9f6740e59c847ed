-- Runs of a job that failed in a row. After some of them the job has failed: one bad row must not keep
-- the cron busy for ever.
ALTER TABLE classifiers ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE evaluations ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE loras ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
