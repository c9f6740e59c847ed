"""The weight of each held-out question: each group of variants counts once, and the agents together
have the mix of the traffic."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edgeneuro.classifier.calibration import PARTS
from edgeneuro.classifier.curve import probability
from edgeneuro.classifier.examples import OUT_OF_SCOPE, Examples
from edgeneuro.classifier.held_out import ONE, UNSEEN_OUT_OF_SCOPE, HeldOut, accepts
from edgeneuro.classifier.logistic import Vector
from edgeneuro.classifier.sources import HUMAN, MODEL

_RATIO = 1_000
# The most that the labels of an agent are weighted up to its share of the traffic.
_MAX_RATIO = 20 * _RATIO
MAX_SUSPECTS = 100


@dataclass(frozen=True)
class Suspect:
    """A label that is probably wrong: while it was held out, the classifier was as sure of
    `predicted` as it is of questions that it gets right. `agent_id` is the label."""

    query_hash: str
    agent_id: str | None
    predicted: str
    score: float


def weighted(
    held: Sequence[HeldOut],
    indices: Sequence[int],
    examples: Examples,
    mix: Mapping[str, int] | None = None,
) -> list[HeldOut]:
    """`indices` are those of the held-out questions among the examples. `mix` is the traffic of
    each agent, in any unit; without it the labels' own mix counts."""
    sizes = examples.labelled_groups()
    base = [ONE // sizes[examples.groups[index]] for index in indices]
    ratios = _ratios(held, base, examples.classes, mix)
    return [
        replace(
            one,
            weight=max(1, own * ratios.get(one.label, _RATIO) // _RATIO),
            part=examples.groups[index] % PARTS,
            machine=examples.sources[index] == MODEL,
        )
        for one, own, index in zip(held, base, indices, strict=True)
    ]


def fair(held: Sequence[HeldOut], indices: Sequence[int], examples: Examples) -> list[HeldOut]:
    """Without the out-of-scope questions that a model decided because a classifier was not sure of
    them: those that it was sure of are missing, so they would show too few false accepts."""
    return [
        one
        for one, index in zip(held, indices, strict=True)
        if one.label != UNSEEN_OUT_OF_SCOPE or not one.machine or examples.folds[index] >= 0
    ]


def _ratios(
    held: Sequence[HeldOut],
    base: Sequence[int],
    classes: Sequence[str],
    mix: Mapping[str, int] | None,
) -> dict[int, int]:
    """By class, in thousandths: its share of the traffic divided by its share of the labels."""
    if mix is None:
        return {}
    labels: Counter[int] = Counter()
    for one, own in zip(held, base, strict=True):
        if one.label >= 0:
            labels[one.label] += own
    traffic = {label: 1 + mix.get(classes[label], 0) for label in labels}
    of_labels, of_traffic = sum(labels.values()), sum(traffic.values())
    return {
        label: min(_MAX_RATIO, _RATIO * traffic[label] * of_labels // (labels[label] * of_traffic))
        for label in labels
    }


def suspects(
    held: Sequence[HeldOut], indices: Sequence[int], examples: Examples, curve: Vector
) -> list[Suspect]:
    """The labels that are probably wrong, the most probable first, at most MAX_SUSPECTS; nobody
    gave what models decided. By the rule of confident learning (Northcutt and others, 2021) a
    prediction counts if it is at least as probable as the mean of its agent's right predictions."""
    rows = [
        (probability(curve, one.top, one.second), one, index)
        for one, index in zip(held, indices, strict=True)
        if one.label >= OUT_OF_SCOPE and accepts(one.top)
    ]
    sums: dict[int, tuple[float, int]] = {}
    for sure, one, _ in rows:
        if one.right:
            total, count = sums.get(one.best, (0.0, 0))
            sums[one.best] = total + sure, count + 1
    wrong = [
        (sure, one, index)
        for sure, one, index in rows
        if examples.sources[index] == HUMAN
        and not one.right
        and one.best in sums
        and sure * sums[one.best][1] >= sums[one.best][0]
    ]
    wrong.sort(key=lambda row: (-round(row[0], 6), row[2]))
    return [
        Suspect(
            query_hash=examples.query_hash(index),
            agent_id=None if one.label == OUT_OF_SCOPE else examples.classes[one.label],
            predicted=examples.classes[one.best],
            score=round(sure, 6),
        )
        for sure, one, index in wrong[:MAX_SUSPECTS]
    ]
