"""Calls to models and agents: Workers AI and vendors through AI Gateway, behind one interface."""
