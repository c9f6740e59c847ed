"""The product's nouns. They know each other, the errors and the settings, nothing else."""
