"""The only place with SQL: one file a table, over a small Database protocol."""
