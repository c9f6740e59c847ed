"""HTTP machinery: nothing here knows what the product does."""
