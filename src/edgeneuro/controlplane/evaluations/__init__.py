"""Evaluations and routing tests."""
