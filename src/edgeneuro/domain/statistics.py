"""Statistics: exact comparisons of two models on the same questions, by those that only one of them
got right; bounds of shares; scores by label; the histogram of latencies."""

import math
from collections.abc import Mapping, Sequence

_ALPHA = 0.05  # of the intervals, both sides together
_HALVINGS = 60


def binomial_tail(at_least: int, total: int) -> float:
    """The probability of `at_least` or more heads in `total` throws of a fair coin, exact."""
    ways = all_ways = math.comb(total, max(0, at_least))
    for heads in range(max(0, at_least), total):
        ways = ways * (total - heads) // (heads + 1)  # math.comb(total, heads + 1), but faster
        all_ways += ways
    return all_ways / (1 << total)


def mcnemar_worse(only_first: int, only_second: int) -> float:
    """The exact one-sided p of McNemar's test: how likely the second would lose so many questions
    to the first or more, if it were as good."""
    return binomial_tail(only_first, only_first + only_second)


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p."""
    more = max(only_first, only_second)
    return min(1.0, 2 * binomial_tail(more, only_first + only_second))


def holm(values: Sequence[float]) -> list[float]:
    """The p of several tests, in their order, adjusted so that one below 0.05 among all of them has
    at most that probability by chance (Holm's step-down procedure)."""
    adjusted = [0.0] * len(values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - rank) * values[index]))
        adjusted[index] = largest
    return adjusted


def difference_interval(only_first: int, only_second: int, total: int) -> tuple[float, float]:
    """The 95 % interval of the difference of accuracies, the second's less the first's, on the same
    questions. It holds the differences that Tango's score test does not reject at 2.5 % a side."""
    return (
        difference_lower_bound(only_first, only_second, total, alpha=_ALPHA / 2),
        -difference_lower_bound(only_second, only_first, total, alpha=_ALPHA / 2),
    )


def difference_lower_bound(only_first: int, only_second: int, total: int, *, alpha: float) -> float:
    """The one-sided lower bound of the same difference at the confidence 1 - `alpha`."""
    if not total:
        return -1.0
    z = upper_quantile(alpha)
    low, high = -1.0, (only_second - only_first) / total
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if paired_score(only_first, only_second, total, difference=middle) > z:
            low = middle
        else:
            high = middle
    return low


def paired_score(only_first: int, only_second: int, total: int, *, difference: float) -> float:
    """Tango's score statistic (Statistics in Medicine 17, 1998) of the hypothesis that the second's
    accuracy less the first's is `difference`: standard normal if it is, large if it is more. The
    variance is estimated under the hypothesis, so it holds with few discordant pairs, none too."""
    excess = only_second - only_first - total * difference
    linear = (2 * total - only_second + only_first) * difference - only_first - only_second
    constant = only_first * difference * (1 - difference)
    lost = (math.sqrt(max(0.0, linear**2 + 8 * total * constant)) - linear) / (4 * total)
    variance = total * (2 * lost + difference * (1 - difference))
    if variance <= 0:
        return math.copysign(math.inf, excess) if excess else 0.0
    return excess / math.sqrt(variance)


def questions_needed(discordant: float, *, margin: float, alpha: float) -> int:
    """How many questions it takes, about, to show with 80 % probability that a model as accurate as
    another is at most `margin` less accurate. `discordant` is the share of the questions that only
    one of the two has right."""
    z = upper_quantile(alpha)
    reach = (z + upper_quantile(0.2)) ** 2 * discordant / margin**2
    return math.ceil(max(reach, z * z * (1 - margin) / margin))


def share_lower_bound(right: int, count: int, *, alpha: float) -> float:
    """The exact one-sided lower bound (Clopper and Pearson) of the share `right` of `count` at the
    confidence 1 - `alpha`: the largest share at which so many are as unlikely as `alpha`."""
    low, high = 0.0, 1.0
    if not right:
        return low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _at_least(right, count, middle) > alpha:
            high = middle
        else:
            low = middle
    return low


def answers_needed(errors: int, share: float, *, alpha: float) -> int:
    """The fewest answers, of which so many are wrong, whose lower bound reaches `share`."""
    least, most = errors, errors + 1
    while share_lower_bound(most - errors, most, alpha=alpha) < share:
        least, most = most, 2 * most
    while most - least > 1:
        middle = (least + most) // 2
        if share_lower_bound(middle - errors, middle, alpha=alpha) < share:
            least = middle
        else:
            most = middle
    return most


def _at_least(right: int, count: int, share: float) -> float:
    """The probability of so many or more out of `count`, each with the probability `share`."""
    whole, chance, other = math.lgamma(count + 1), math.log(share), math.log1p(-share)
    terms = (
        math.exp(
            whole
            - math.lgamma(k + 1)
            - math.lgamma(count - k + 1)
            + k * chance
            + (count - k) * other
        )
        for k in range(right, count + 1)
    )
    return min(1.0, math.fsum(terms))


def upper_quantile(alpha: float) -> float:
    """The value that a standard normal variable exceeds with the probability `alpha`."""
    low, high = -40.0, 40.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if math.erfc(middle / math.sqrt(2)) / 2 > alpha:
            low = middle
        else:
            high = middle
    return high


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


# The histogram of latencies has buckets that grow with the value, ten equal steps per doubling.
# A latency of 0.0625 ms or more falls into a bucket [a, b) with (b - a) / (a + b) <= 1/21, so the
# bucket's value, 2ab / (a + b), differs by at most 4.8 % from any latency in it. Bucket 0 has all
# smaller latencies, the last bucket has all of 131 s or more.
STEPS = 10
FIRST_POWER, LAST_POWER = -4, 17  # of two, in milliseconds
LAST_BUCKET = 1 + STEPS * (LAST_POWER - FIRST_POWER)


def bucket_ms(bucket: int) -> float:
    """The latency that stands for a bucket, in four digits."""
    if bucket <= 0:
        return 0.0
    if bucket >= LAST_BUCKET:
        return 2.0**LAST_POWER
    doublings, step = divmod(bucket - 1, STEPS)
    start = 2.0 ** (FIRST_POWER + doublings)
    low, high = start * (1 + step / STEPS), start * (1 + (step + 1) / STEPS)
    return float(f"{2 * low * high / (low + high):.4g}")
