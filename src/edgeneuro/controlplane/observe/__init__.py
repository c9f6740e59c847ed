"""Logs, analytics, metrics and health."""
