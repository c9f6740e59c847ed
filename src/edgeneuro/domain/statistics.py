"""Comparing two models on the same questions: exact, by what only one of them got right."""

import math
from collections.abc import Mapping

_Z = 1.959964  # of 95 %


def binomial_tail(at_least: int, total: int) -> float:
    """The chance of so many heads or more in `total` throws of a fair coin."""
    if at_least <= 0:
        return 1.0
    whole = math.lgamma(total + 1) - total * math.log(2)
    terms = (
        math.exp(whole - math.lgamma(heads + 1) - math.lgamma(total - heads + 1))
        for heads in range(at_least, total + 1)
    )
    return min(1.0, math.fsum(terms))


def mcnemar_worse(only_first: int, only_second: int) -> float:
    """The exact one-sided p of McNemar's test: how likely the second would lose so many questions
    to the first or more, if it were as good."""
    return binomial_tail(only_first, only_first + only_second)


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p."""
    more = max(only_first, only_second)
    return min(1.0, 2 * binomial_tail(more, only_first + only_second))


def difference_interval(only_first: int, only_second: int, total: int) -> tuple[float, float]:
    """95 % of the difference of accuracies, the second's less the first's, on the same questions:
    Agresti and Min, "Simple improved confidence intervals for comparing matched proportions",
    Statistics in Medicine 24 (2005): half a question more in each of the four cells."""
    size, down, up = total + 2, only_first + 0.5, only_second + 0.5
    middle = (up - down) / size
    reach = _Z * math.sqrt(up + down - (up - down) ** 2 / size) / size
    return max(-1.0, middle - reach), min(1.0, middle + reach)


def macro_f1(confusion: Mapping[str, Mapping[str, int]]) -> float | None:
    """The mean F1 of the labels; `confusion` counts decisions by label, then by what was decided.
    None where there is no label."""
    scores = [score.f1 for score in per_label(confusion).values() if score.support]
    return sum(scores) / len(scores) if scores else None


class Score:
    """Of one label: how often it is there (`support`), and its precision, recall and F1; what is 0
    of 0 counts as 0."""

    def __init__(self, right: int, decided: int, support: int) -> None:
        self.support = support
        self.precision = right / decided if decided else 0.0
        self.recall = right / support if support else 0.0
        self.f1 = 2 * right / (decided + support) if decided + support else 0.0


def per_label(confusion: Mapping[str, Mapping[str, int]]) -> dict[str, Score]:
    decided: dict[str, int] = {}
    for row in confusion.values():
        for name, count in row.items():
            decided[name] = decided.get(name, 0) + count
    return {
        label: Score(row.get(label, 0), decided.get(label, 0), sum(row.values()))
        for label, row in confusion.items()
    }


def percentile(values: "list[float]", percent: float) -> float | None:
    """The smallest value that at least `percent` of them do not exceed (nearest rank)."""
    if not values:
        return None
    rank = math.ceil(len(values) * percent / 100)
    return sorted(values)[max(rank, 1) - 1]
