"""Models, providers, which model is selected, and the promotion check."""
