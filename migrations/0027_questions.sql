-- Rows of questions to a decision model: null, or the row's kind. It is read before `kind`, whose CHECK has "route"
-- and "chat" alone, and SQLite changes no CHECK without a copy of the whole table.
ALTER TABLE logs ADD COLUMN other_kind TEXT;
