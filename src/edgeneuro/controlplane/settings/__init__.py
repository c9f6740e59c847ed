"""The settings and the cache."""
