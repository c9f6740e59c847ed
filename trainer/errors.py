"""What goes wrong on the user's side of a training."""


class TrainingError(Exception):
    """The text is for the user: what is wrong, and what to do about it."""
