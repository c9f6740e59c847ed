"""Everything but the examples that decides what a training makes, and what its parts share."""

from dataclasses import dataclass

from edgeneuro.classifier.calibration import MIN_LABELS, TARGET
from edgeneuro.classifier.examples import FOLDS

EPOCHS = 10
# Many examples are learned as well in fewer epochs: with 12,000 labels of 150 agents 6 of them cost
# 0.05 points of accuracy, and 4 cost 0.3.
MANY_EXAMPLES, EPOCHS_OF_MANY = 6_000, 6
# The first step goes half of the way to the margin; the rate falls to 0.
FIRST_RATE = 1 << 15
FOLD_ORDER = (FOLDS - 1, *range(FOLDS - 1))  # in which folds are held out, until there is enough


@dataclass(frozen=True)
class Plan:
    seed: int = 0
    epochs: int = EPOCHS
    target: float = TARGET
    min_labels: int = MIN_LABELS

    def epochs_for(self, examples: int) -> int:
        """Of a pass over the messages."""
        many = examples > MANY_EXAMPLES
        return min(self.epochs, EPOCHS_OF_MANY) if many else self.epochs
