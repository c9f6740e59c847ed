"""The application: the table of routes, and the order of checks around a call."""
