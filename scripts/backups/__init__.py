"""Backups of a database: a file of SQL that `npm run restore` reads."""
