"""Fakes of what the Worker talks to, for tests and benchmarks on CPython. They are not uploaded."""
