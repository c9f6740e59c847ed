"""What one isolate keeps between requests: caches, the selected classifier, metrics, its clock."""
