"""What was learned of conversations, as a value: beside the scores of the message alone, those with
the agent of the turn before as a feature, the score of leaving this agent, the switch that puts
them together, and how sure it must be."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from edgeneuro.classifier.calibration import Calibration
from edgeneuro.classifier.features import ROWS
from edgeneuro.classifier.switch import logit

# A turn that leaves its agent counts more in the switch: they are one in ten, other conversations
# have other ones, and a user whom the wrong agent keeps has no way out. With few of them the switch
# is less certain, and the agent had better stay: half of the surplus is reached at so many.
_LEAVING_WEIGHT, _HALF_OF_IT_AT = 5.0, 250


def leaving_weight(turns: int) -> float:
    """Of each turn in the switch, if so many leave their agent."""
    return 1 + (_LEAVING_WEIGHT - 1) * turns / (turns + _HALF_OF_IT_AT)


@dataclass(frozen=True)
class FollowUps:
    """`weights` has a row of one byte per class, and one for leaving, for each bucket, and then for
    each class as that of the agent before; a weight is (byte - 128) * `scale`. `switch` are the
    weights of switch.py's facts. `keeping` and `leaving` turn its logit, and of another agent also
    its lead, into the logit that the answer is right. `known` says of each class whether there were
    turns enough of it: those of the others are left to the rule, and to the message alone. It was
    learned from `labels` and `decisions`, and `figures` are of turns that were held out."""

    scale: float
    weights: bytes
    switch: tuple[float, ...]
    keeping: tuple[float, ...]
    leaving: tuple[float, ...]
    calibration: Calibration
    known: tuple[bool, ...]
    labels: int
    decisions: int
    figures: dict[str, int] = field(default_factory=dict)


def rows_of(classes: int) -> int:
    return ROWS + classes


def row_of(previous: int) -> int:
    """The row of the agent of the turn before, by its class. The row after the last class is for a
    message with no turn before it; only a training has it."""
    return ROWS + previous


def confidence(
    keeping: Sequence[float], leaving: Sequence[float], switch: float, lead: float
) -> float:
    """The logit of the probability that the answer is right. `switch` above 0 leaves the agent for
    the other one, whose `lead` is its distance to the next one."""
    if switch <= 0:
        return logit(keeping, (1.0, -switch))
    return logit(leaving, (1.0, switch, lead))


def best_other(scores: Sequence[float], previous: int) -> tuple[int, float]:
    """The class with the best score beside `previous`, and its lead."""
    found, best, second = -1, float("-inf"), float("-inf")
    for label, score in enumerate(scores):
        if label == previous:
            continue
        if score > best:
            found, best, second = label, score, best
        elif score > second:
            second = score
    return found, (best - second if second > float("-inf") else 0.0)
