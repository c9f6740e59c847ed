"""The installation as one document: read it, plan the changes that make it so, apply them."""
