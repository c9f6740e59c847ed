"""Replays: logged queries through a changed configuration."""
