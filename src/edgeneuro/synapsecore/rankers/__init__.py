"""The stages of the pipeline: each one makes a ranking of a turn, or says why it has none."""
