"""Cloudflare on your machine: Workers AI and AI Gateway contracts for development and tests.

Never deployed; nothing under src/ imports it. `python -m local` starts it.
"""
