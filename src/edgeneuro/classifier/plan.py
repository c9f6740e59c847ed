"""Everything but the examples that decides what a training makes, and what its parts share."""

from dataclasses import dataclass

from edgeneuro.classifier.calibration import MIN_LABELS, TARGET
from edgeneuro.classifier.examples import FOLDS

EPOCHS = 10
# The first step goes half of the way to the margin; the rate falls to 0.
FIRST_RATE = 1 << 15
FOLD_ORDER = (FOLDS - 1, *range(FOLDS - 1))  # in which folds are held out, until there is enough


@dataclass(frozen=True)
class Plan:
    seed: int = 0
    epochs: int = EPOCHS
    target: float = TARGET
    min_labels: int = MIN_LABELS
