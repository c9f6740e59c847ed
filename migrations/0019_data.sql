-- Which labels were learned from: JSON: how many, the newest, a hash of them.
ALTER TABLE classifiers ADD COLUMN data TEXT;
ALTER TABLE loras ADD COLUMN data TEXT;
