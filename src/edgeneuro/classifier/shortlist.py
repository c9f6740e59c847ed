"""How many of the classifier's best classes a model needs to be offered, so that the right one is
among them: measured on held-out questions by the rank of their label. Also which labels stand as
examples beside the agents that are offered.

The recall is that of human labels if enough are held out, else that of all labels. It must be 99 %
with a lower bound of 98.5 % (Wilson, one-sided 95 %), which takes 178 held-out questions at least.
It is measured on trainings with fewer labels, so that of the classifier itself is higher. An agent
whose own questions are missed significantly more often is offered in every question, and so is one
of which no question was held out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgeneuro.classifier.examples import NO_CONTEXT, OUT_OF_SCOPE, Examples
from edgeneuro.classifier.held_out import HeldOut, does_worse, wilson
from edgeneuro.classifier.sources import HUMAN
from edgeneuro.classifier.weights import weighted

SIZES = (20, 25, 30)
MIN_RECALL, MIN_LOWER_BOUND = 0.99, 0.985
ONE_SIDED = 1.645  # the normal quantile of a lower bound of 95 %
MIN_HUMAN = 300  # held-out human labels that count alone
MAX_EXAMPLES = 5  # labels of one agent
_MAX_COMPARED = 40  # labels of one agent, of which the examples are chosen
_MAX_BUCKETS = 150  # of a text that may stand as an example


@dataclass(frozen=True)
class Recall:
    """The share of the held-out questions whose label is among the `agents` best classes, and its
    lower bound."""

    agents: int
    recall: float
    low: float

    @property
    def is_enough(self) -> bool:
        return self.recall >= MIN_RECALL and self.low >= MIN_LOWER_BOUND


@dataclass(frozen=True)
class ShortlistFit:
    """`agents` are as many of the best classes as hold the right one; None: none of SIZES does.
    `held_out` questions were counted, all of `by_humans` if that is true. `always` are classes that
    must be offered in every question."""

    agents: int | None
    recalls: tuple[Recall, ...]
    held_out: int
    by_humans: bool
    always: tuple[str, ...]


def fit_shortlist(
    held: Sequence[HeldOut],
    ranks: Sequence[int],
    indices: Sequence[int],
    examples: Examples,
    mix: Mapping[str, int] | None = None,
) -> ShortlistFit:
    """`ranks` say for each held-out question how many classes scored higher than its label;
    `indices` are those of the questions among the examples. The mix is that of weights.py."""
    weights = [one.weight for one in weighted(held, indices, examples, mix)]
    rows = [
        (one.label, rank, weight, examples.sources[index] == HUMAN)
        for one, rank, weight, index in zip(held, ranks, weights, indices, strict=True)
        if one.label >= 0
    ]
    by_humans = sum(human for *_, human in rows) >= MIN_HUMAN
    counted = [row for row in rows if row[3] or not by_humans]
    recalls = tuple(_recall(size, [row[1:3] for row in counted]) for size in SIZES)
    found = next((each.agents for each in recalls if each.is_enough), None)
    return ShortlistFit(
        agents=found,
        recalls=recalls,
        held_out=len(counted),
        by_humans=by_humans,
        always=_always(found or SIZES[-1], rows, examples.classes),
    )


def _recall(size: int, rows: Sequence[tuple[int, int]]) -> Recall:
    total = sum(weight for _, weight in rows)
    squares = sum(weight * weight for _, weight in rows)
    share = sum(weight for rank, weight in rows if rank < size) / total if total else 0.0
    count = total * total / squares if squares else 0.0  # the effective number (Kish)
    return Recall(size, round(share, 6), round(wilson(share * count, count, -ONE_SIDED), 6))


def _always(
    size: int, rows: Sequence[tuple[int, int, int, bool]], classes: Sequence[str]
) -> tuple[str, ...]:
    asked = Counter(label for label, *_ in rows)
    missed = Counter(label for label, rank, *_ in rows if rank >= size)
    return tuple(
        name
        for label, name in enumerate(classes)
        if not asked[label] or does_worse(missed[label], asked[label], MIN_RECALL)
    )


def representatives(examples: Examples) -> dict[str, list[str]]:
    """By class the query hashes of at most MAX_EXAMPLES human labels that are unlike each other:
    first the one that has most in common with the others, then always the one that is least like
    those chosen before."""
    by_class: dict[int, list[int]] = {}
    for index, label in enumerate(examples.labels):
        alone = examples.previous[index] == NO_CONTEXT and examples.groups[index] == index
        if label == OUT_OF_SCOPE or not alone or examples.sources[index] != HUMAN:
            continue
        if len(examples.active(index)) <= _MAX_BUCKETS:
            by_class.setdefault(label, []).append(index)
    return {
        examples.classes[label]: [examples.query_hash(index) for index in _diverse(examples, own)]
        for label, own in sorted(by_class.items())
    }


def _diverse(examples: Examples, indices: Sequence[int]) -> list[int]:
    # Their order is that of hashes, so the first ones are drawn by chance.
    sets = {index: frozenset(examples.active(index)) for index in indices[:_MAX_COMPARED]}
    common = Counter(bucket for buckets in sets.values() for bucket in buckets)
    central = {
        index: sum([common[bucket] for bucket in buckets]) / len(buckets)
        for index, buckets in sets.items()
    }
    first = max(sets, key=lambda index: (central[index], -index))
    chosen, closest = [first], dict.fromkeys(sets, 0.0)
    while len(chosen) < min(MAX_EXAMPLES, len(sets)):
        last = sets[chosen[-1]]
        for index, buckets in sets.items():
            alike = len(buckets & last) / len(buckets | last)
            closest[index] = max(closest[index], alike)
        left = [index for index in sets if index not in chosen]
        chosen.append(min(left, key=lambda index: (closest[index], index)))
    return chosen
