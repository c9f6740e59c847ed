"""Agents at endpoints of their own: requests, protocols and errors."""
