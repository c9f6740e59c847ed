"""The control plane: one noun a file."""
