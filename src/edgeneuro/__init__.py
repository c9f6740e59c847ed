"""EdgeNeuro: an intent router and its control plane in one Python Worker."""

__version__ = "0.2.0"
