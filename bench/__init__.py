"""Measurements against a running product; speed as ratios within one run."""
