"""Both classifiers with few labels: the first one by n-grams and word vectors, and the second one,
which also sees the query's vector by a real all-MiniLM-L6-v2 (local/engines/minilm). Ends with 1 if
a figure of the table is not reached.

    PYTHONPATH=src .build/venv/bin/python -m bench.embedding --data DIR [--vectors FILE]

DIR holds train.jsonl, validation.jsonl, oos_train.jsonl and oos_validation.jsonl. The validation
parts are asked once. FILE keeps the vectors of all texts for the next run (some 10 minutes on one
core)."""

import argparse
import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from bench.classifier import Data
from edgeneuro.classifier.embedding import quantised, with_embeddings
from edgeneuro.classifier.examples import Labelled
from edgeneuro.classifier.held_out import wilson
from edgeneuro.classifier.model import Model
from edgeneuro.classifier.plan import Plan
from edgeneuro.classifier.preparation import prepare
from edgeneuro.classifier.scorer import Prediction, Scorer
from edgeneuro.classifier.training import Training
from edgeneuro.classifier.vectors import load_table
from edgeneuro.domain.query import query_hash
from local.engines.minilm import load_minilm

SEEDS = (1, 2, 3)
# By labels a class: accuracy and coverage of both stages to reach, at the precision PRECISION.
FIGURES = {5: (0.855, 0.45), 10: (0.90, 0.65), 20: (0.915, 0.75)}
PRECISION = 0.98
_BATCH = 64


@dataclass(frozen=True)
class Row:
    """`accuracy` is that of the best guess: of the first stage where it is sure, else of the
    second."""

    labels: int
    seed: int
    first_accuracy: float
    first_coverage: float
    accuracy: float
    coverage: float
    answered: int
    right: int
    false_accepts: int
    seconds: float

    @property
    def precision(self) -> float:
        return self.right / self.answered if self.answered else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures both classifiers with few labels.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the JSONL files")
    parser.add_argument("--vectors", type=Path, help="keeps the vectors (.json)")
    parser.add_argument("--labels", type=int, action="append", help="labels a class")
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    options = parser.parse_args()
    data = Data.read(options.data)
    vectors = read_vectors(data, options.vectors)
    print(f"{'labels':>6} {'seed':>4} {'first acc':>9} {'cov':>6} | {'acc':>6} {'cov':>6}", end="")
    print(f" {'right':>7} {'out of scope':>12} {'s':>5}")
    missed = False
    for each in options.labels or FIGURES:
        rows = [measure(data, vectors, each, seed) for seed in SEEDS[: options.seeds]]
        missed |= not reached(each, rows)
    sys.exit(int(missed))


def read_vectors(data: Data, file: Path | None) -> dict[str, bytes]:
    """By text, of all texts."""
    rows = [*data.train, *data.validation, *data.oos_train, *data.oos_validation]
    texts = sorted({row["query"] for row in rows}, key=len)
    if file is not None and file.exists():
        stored = json.loads(file.read_text(encoding="utf-8"))
        return {text: bytes.fromhex(stored[text]) for text in texts}
    model = load_minilm()
    found: dict[str, bytes] = {}
    for at in tqdm(range(0, len(texts), _BATCH), desc="vectors"):
        batch = texts[at : at + _BATCH]
        embedded = np.round(model.embed(batch)[0], 7)
        found |= {text: quantised(one.tolist()) for text, one in zip(batch, embedded, strict=True)}
    if file is not None:
        file.write_text(json.dumps({text: one.hex() for text, one in found.items()}))
    return found


def measure(data: Data, vectors: dict[str, bytes], each: int, seed: int) -> Row:
    by_intent: defaultdict[str, list[str]] = defaultdict(list)
    for row in data.train:
        by_intent[row["intent"]].append(row["query"])
    chance = random.Random(seed)
    given = [
        Labelled(query, intent)
        for intent, queries in sorted(by_intent.items())
        for query in chance.sample(queries, each)
    ]
    given += [Labelled(row["query"], None) for row in data.oos_train]
    started = time.monotonic()
    table = load_table()
    examples = prepare(given, table)
    plan = Plan(seed=seed, target=PRECISION)
    first = Scorer(learn(Training(examples, plan)), table)
    hashes = {query_hash(one.query): vectors[one.query] for one in given}
    second = Scorer(learn(Training(with_embeddings(examples, hashes, "minilm"), plan)))
    seconds = time.monotonic() - started
    asked = [(row["query"], row["intent"]) for row in data.validation]
    one = [first.rank(query).prediction for query, _ in asked]
    two = [second.rank(query, vectors[query]).prediction for query, _ in asked]
    best = [a if a.sure else b for a, b in zip(one, two, strict=True)]
    intents = [intent for _, intent in asked]
    measured = Row(
        labels=each,
        seed=seed,
        first_accuracy=_share(one, intents),
        first_coverage=sum(each.sure for each in one) / len(one),
        accuracy=_share(best, intents),
        coverage=sum(each.sure for each in best) / len(best),
        answered=sum(each.sure for each in best),
        right=sum(a.sure and a.agent_id == b for a, b in zip(best, intents, strict=True)),
        false_accepts=sum(
            first.rank(row["query"]).prediction.sure
            or second.rank(row["query"], vectors[row["query"]]).prediction.sure
            for row in data.oos_validation
        ),
        seconds=seconds,
    )
    _print(measured, len(data.oos_validation))
    return measured


def learn(training: Training) -> Model:
    with tqdm(total=training.passes[1], leave=False, disable=not sys.stderr.isatty()) as bar:
        while not training.finished:
            training.step(2_000)
            bar.update(training.passes[0] - bar.n)
    return training.model()


def reached(each: int, rows: Sequence[Row]) -> bool:
    accuracy = sum(row.accuracy for row in rows) / len(rows)
    coverage = sum(row.coverage for row in rows) / len(rows)
    answered, right = sum(row.answered for row in rows), sum(row.right for row in rows)
    precision = right / answered if answered else 0.0
    low, high = wilson(right, answered, -1.96), wilson(right, answered, 1.96)
    least_accuracy, least_coverage = FIGURES.get(each, (0.0, 0.0))
    ok = accuracy >= least_accuracy and coverage >= least_coverage and precision >= PRECISION
    print(
        f"{each:>6} mean: accuracy {accuracy:.1%} (>= {least_accuracy:.1%}), coverage"
        f" {coverage:.1%} (>= {least_coverage:.0%}), right {precision:.2%} [{low:.2%}, {high:.2%}]"
        f" of {answered}: {'reached' if ok else 'MISSED'}",
        flush=True,
    )
    return ok


def _share(predictions: Sequence[Prediction], intents: Sequence[str]) -> float:
    right = sum(one.agent_id == intent for one, intent in zip(predictions, intents, strict=True))
    return right / len(intents)


def _print(row: Row, unknown: int) -> None:
    print(
        f"{row.labels:>6} {row.seed:>4} {row.first_accuracy:>9.1%} {row.first_coverage:>6.1%} |"
        f" {row.accuracy:>6.1%} {row.coverage:>6.1%} {row.precision:>7.2%}"
        f" {f'{row.false_accepts} of {unknown}':>12} {row.seconds:>5.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
