-- Trainings read the decisions of models by the number of the log row, in conversations too: a read of the newest
-- 100,000 rows costs as much as 100 writes of an index entry, and every answer would write one.
DROP INDEX logs_in_conversations;
