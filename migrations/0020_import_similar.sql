-- As in labels. The rows are there only while a file is read.
ALTER TABLE import_rows ADD COLUMN similar_hash TEXT;
