"""What word vectors gain: classifiers of CLINC150 learned with and without them.

    PYTHONPATH=src .build/venv/bin/python -m bench.word_vectors --data DIR

DIR holds train.jsonl, validation.jsonl and oos_train.jsonl. Only the last pass of a training runs,
the one that makes the weights: thresholds are measured by bench/classifier.py. So the share that
could be answered is one in hindsight.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.route_dataset import read_lines
from edgeneuro.classifier.examples import Labelled
from edgeneuro.classifier.held_out import HeldOut
from edgeneuro.classifier.learner import new_learner
from edgeneuro.classifier.plan import FIRST_RATE, Plan
from edgeneuro.classifier.preparation import prepare
from edgeneuro.classifier.vectors import VectorTable, load_table

Lines = Sequence[dict[str, Any]]
ROWS = (("intent", (5, 10, 20, 50, None)), ("agent", (5, 20, 50, None)))
SEEDS = (1, 2, 3)
TARGET = 0.98


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures what word vectors gain.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the JSONL files")
    folder = parser.parse_args().data
    names = ("train", "validation", "oos_train")
    train, validation, outside = (read_lines(folder / f"{name}.jsonl") for name in names)
    for key, sizes in ROWS:
        for each in sizes:
            for name, table in (("n-grams", None), ("with vectors", load_table())):
                found = [
                    measure(drawn(train, key, each, seed), validation, outside, key, table)
                    for seed in (SEEDS if each else SEEDS[:1])
                ]
                accuracy = [right for right, _ in found]
                coverage = sum(share for _, share in found) / len(found)
                print(
                    f"{key:7}{each or 'all':>5} {name:13}{sum(accuracy) / len(found):6.1%}"
                    f" ({min(accuracy):.1%} to {max(accuracy):.1%}), {coverage:.0%} at 98 %",
                    flush=True,
                )


def drawn(lines: Lines, key: str, each: int | None, seed: int) -> Lines:
    if each is None:
        return lines
    by_class: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        by_class[line[key]].append(line)
    chance = random.Random(seed)
    return [line for name in sorted(by_class) for line in chance.sample(by_class[name], each)]


def measure(
    train: Lines, validation: Lines, outside: Lines, key: str, table: VectorTable | None
) -> tuple[float, float]:
    """The accuracy, and the share of the queries with the largest leads of which 98 % are right."""
    given = [Labelled(line["query"], line[key]) for line in train]
    examples = prepare([*given, *(Labelled(line["query"], None) for line in outside)], table)
    learner, chance = new_learner(examples), random.Random(0)
    total = len(examples) * Plan().epochs_for(len(examples))
    order: list[int] = []
    for visit in range(total):
        if not order:
            order = chance.sample(range(len(examples)), len(examples))
        index, rate = order.pop(), FIRST_RATE * (total - visit) // total
        active, label = examples.active(index), examples.labels[index]
        learner.learn(active, label, rate, examples.vector(index))

    asked = prepare([Labelled(line["query"], line[key]) for line in validation], table)
    judged = []
    for index in range(len(asked)):
        found = HeldOut.of(0, learner.scores(asked.active(index), asked.vector(index)), 0.0)
        truth = asked.classes[asked.labels[index]]
        judged.append((found.top - found.second, examples.classes[found.best] == truth))
    judged.sort(reverse=True)
    right, most = 0, 0
    for count, (_, is_right) in enumerate(judged, 1):
        right += is_right
        if right >= TARGET * count:
            most = count
    return right / len(judged), most / len(judged)


if __name__ == "__main__":
    main()
