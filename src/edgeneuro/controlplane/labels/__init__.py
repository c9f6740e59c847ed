"""Labels: the queue, statistics, imports, exports and erasure."""
