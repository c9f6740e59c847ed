"""Questions that a training did not see, and what they show: how a share that was counted is
bounded, and whether it is too low."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

# Negatives of the pass that leaves out agents and out-of-scope labels: an out-of-scope question,
# and a question of an agent that was left out. Stored states of trainings hold these numbers.
UNSEEN_OUT_OF_SCOPE, LEFT_OUT_CLASS = -2, -3
ONE = 1 << 20  # the weight of a question without variants, if traffic and labels have one mix
TWO_SIDED = 1.96  # the normal quantile of an interval of 95 %
_SIGNIFICANCE = 0.05  # of the test whether an agent is worse than the target


@dataclass(frozen=True)
class HeldOut:
    """One held-out question: its label (below 0: a negative), the best class and the two best
    scores. `weight` is a whole number, so that sums are exact on every machine; `part` is its part
    of the cross-fitting. `machine`: the label is a machine label."""

    label: int
    best: int
    top: float
    second: float
    weight: int = ONE
    part: int = 0
    machine: bool = False

    @classmethod
    def of(cls, label: int, scores: Sequence[float], doubt: float) -> "HeldOut":
        """`scores` are those of all classes; `doubt` is added to the second best one."""
        others = list(scores)
        best = others.index(max(others))
        top = others.pop(best)
        return cls(label, best, top, max(others, default=top) + doubt)

    @property
    def right(self) -> bool:
        return self.label == self.best


def accepts(top: float) -> bool:
    """Whether the score of the best class is on its side of the decision boundary. Otherwise it is
    never answered, however probable it is."""
    return top > 0


class Tally:
    """Sums of weighted answers. `count` is the effective number of answers (Kish; no more than
    there are questions in them), `right` the effective number of right ones; `scale` multiplies
    both, for a part that represents all."""

    def __init__(self, answers: Iterable[HeldOut] = (), scale: float = 1.0) -> None:
        self._scale = scale
        self._weight = self._squares = self._right = 0
        for one in answers:
            self.add(one)

    def add(self, one: HeldOut, sign: int = 1) -> None:
        self._weight += sign * one.weight
        self._squares += sign * one.weight * one.weight
        self._right += sign * one.weight * one.right

    @property
    def share(self) -> float | None:
        """Of the answers that are right."""
        return self._right / self._weight if self._weight else None

    @property
    def count(self) -> float:
        if not self._squares:
            return 0.0
        kish = self._weight * self._weight / self._squares
        return self._scale * min(kish, self._weight / ONE)

    @property
    def right(self) -> float:
        return self.count * self._right / self._weight if self._weight else 0.0

    def does_worse(self, target: float) -> bool:
        return does_worse(round(self.count - self.right), round(self.count), target)


def wilson(right: float, count: float, z: float = -TWO_SIDED) -> float:
    """The Wilson bound of the share right / count: the lower one, or the upper one if z is above
    0."""
    if not count:
        return 0.0 if z < 0 else 1.0
    share, spread = right / count, z * z / count
    middle = share + spread / 2
    half = z * sqrt(max(0.0, share * (1 - share)) / count + spread / (4 * count))
    return (middle + half) / (1 + spread)


def does_worse(wrong: int, count: int, target: float) -> bool:
    """Whether the accuracy is significantly below the target (one-sided exact binomial test at the
    level 5 %)."""
    if wrong <= count * (1 - target):
        return False
    term, fewer = count * log(target), 0.0
    for number in range(wrong):
        fewer += exp(term)
        if fewer > 1 - _SIGNIFICANCE:
            return True
        term += log((count - number) / (number + 1) * (1 - target) / target)
    return False
