"""The classifier with few labels, and with none: accuracy, coverage, precision and out-of-scope
false accepts on queries that it did not learn from. Ends with 1 if a goal is not reached.

    PYTHONPATH=src .build/venv/bin/python -m bench.classifier_rows --data DIR [--rows NAME ...]

DIR holds train.jsonl, validation.jsonl, oos_train.jsonl and oos_validation.jsonl. The training
parts are learned; the validation parts are asked. Each row is drawn several times. Its share of
answers that are right is that of all draws together, with a 95 % Wilson interval; "spread" is the
lowest and the highest draw. A draw uses other training queries, and the same validation queries.
"""

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from bench.classifier import Data
from edgeneuro.classifier.examples import Labelled
from edgeneuro.classifier.held_out import TWO_SIDED, wilson
from edgeneuro.classifier.plan import Plan
from edgeneuro.classifier.preparation import prepare
from edgeneuro.classifier.scorer import Scorer
from edgeneuro.classifier.sources import AGENT_TEXT
from edgeneuro.classifier.training import Training
from edgeneuro.classifier.vectors import load_table

Line = dict[str, str]
TARGET = 0.98
STEP = 20_000
WRONG = 0.1  # of the labels, in the row of wrong labels


@dataclass(frozen=True)
class Drawn:
    """What one draw learns, and what it is asked. `asked` have an agent each."""

    labels: list[Labelled]
    asked: list[tuple[str, str]]


@dataclass(frozen=True)
class Row:
    """`accuracy` and `coverage` are the least to reach, `false_accepts` the most, all None where
    the row has no goal. `precise`: the answers must reach the target, or `precision`."""

    name: str
    draw: Callable[[Data, random.Random], Drawn]
    draws: int = 3
    accuracy: float | None = None
    coverage: float | None = None
    false_accepts: float | None = None
    precision: float | None = TARGET


@dataclass(frozen=True)
class Result:
    """Of one draw: `n` questions of agents, of which `right` have the right agent first;
    `answered`, and `answered_right` of these; `accepted` of `unknown` out-of-scope ones. `shown` is
    the precision that the product shows."""

    n: int
    right: int
    answered: int
    answered_right: int
    unknown: int
    accepted: int
    shown: float | None
    threshold: float | None
    refusal: str | None


def each(key: str, shots: int | None, unknown: int = 100) -> Callable[[Data, random.Random], Drawn]:
    """So many labels of each class, or all; and so many that no agent fits."""

    def draw(data: Data, chance: random.Random) -> Drawn:
        by_class: defaultdict[str, list[str]] = defaultdict(list)
        for line in data.train:
            by_class[line[key]].append(line["query"])
        labels = [
            Labelled(query, name)
            for name in sorted(by_class)
            for query in (by_class[name] if shots is None else chance.sample(by_class[name], shots))
        ]
        labels += [Labelled(line["query"], None) for line in data.oos_train[:unknown]]
        return Drawn(labels, [(line["query"], line[key]) for line in data.validation])

    return draw


def agents_texts(data: Data, chance: random.Random) -> Drawn:
    drawn = each("agent", 5, 0)(data, chance)
    return replace(drawn, labels=[replace(one, source=AGENT_TEXT) for one in drawn.labels])


def installation(
    sizes: Sequence[int],
    unknown: int = 0,
    *,
    wrong: float = 0.0,
    twice: bool = False,
) -> Callable[[Data, random.Random], Drawn]:
    """Agents of five intents each, which are drawn; agent by agent so many labels. `wrong` of the
    labels name another agent. `twice`: every label is there a second time, with a greeting."""

    def draw(data: Data, chance: random.Random) -> Drawn:
        intents = sorted({line["intent"] for line in data.train})
        chosen = chance.sample(intents, 5 * len(sizes))
        agent_of = {intent: f"agent_{place // 5:02}" for place, intent in enumerate(chosen)}
        by_agent: defaultdict[str, list[str]] = defaultdict(list)
        for line in data.train:
            if line["intent"] in agent_of:
                by_agent[agent_of[line["intent"]]].append(line["query"])
        names = sorted(by_agent)
        labels = [
            Labelled(query, name)
            for name, size in zip(names, sizes, strict=True)
            for query in chance.sample(by_agent[name], size)
        ]
        labels = [
            replace(one, agent_id=chance.choice([name for name in names if name != one.agent_id]))
            if chance.random() < wrong
            else one
            for one in labels
        ]
        if twice:
            labels += [replace(one, query=f"Hello, {one.query}") for one in labels]
        out_of_scope = chance.sample([line["query"] for line in data.oos_train], unknown)
        labels += [Labelled(query, None) for query in out_of_scope]
        asked = [
            (line["query"], agent_of[line["intent"]])
            for line in data.validation
            if line["intent"] in agent_of
        ]
        return Drawn(labels, asked)

    return draw


ROWS = {
    row.name: row
    for row in (
        Row("intents-5", each("intent", 5), accuracy=0.80, coverage=0.25),
        Row("intents-10", each("intent", 10), accuracy=0.86, coverage=0.50),
        Row("intents-20", each("intent", 20), accuracy=0.895, coverage=0.66),
        Row("intents-50", each("intent", 50), accuracy=0.925, coverage=0.80),
        Row(
            "intents-all",
            each("intent", None),
            draws=1,
            accuracy=0.935,
            coverage=0.85,
            false_accepts=0.06,
        ),
        Row("domains-20", each("agent", 20), accuracy=0.78, coverage=0.30),
        Row("domains-50", each("agent", 50), accuracy=0.87, coverage=0.60),
        Row("domains-texts", agents_texts, accuracy=0.55, precision=0.95),
        Row("domains-5", each("agent", 5)),
        Row("domains-all", each("agent", None), draws=1),
        Row("intents-20-no-unknown", each("intent", 20, 0)),
        Row("domains-50-no-unknown", each("agent", 50, 0)),
        Row("3x36", installation([36] * 3), draws=10),
        Row("3x36-20-unknown", installation([36] * 3, 20), draws=10),
        Row("12x20", installation([20] * 12), draws=10),
        Row("12x20-50-unknown", installation([20] * 12, 50), draws=10),
        Row("2x20", installation([20] * 2), draws=10),
        Row("unbalanced", installation([200, 40, 20, 10, 5, 5]), draws=10),
        Row("one-label", installation([40, 40, 40, 1]), draws=10),
        Row("wrong-labels", installation([36] * 6, 20, wrong=WRONG), draws=10),
        Row("duplicates", installation([36] * 6, 20, twice=True), draws=10),
    )
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the classifier with few labels.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the JSONL files")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="NAME")
    parser.add_argument("--target", type=float, default=TARGET)
    options = parser.parse_args()
    data = Data.read(options.data)
    print(
        f"{'row':23}{'accuracy':>9}{'coverage':>9}{'spread':>12}{'precision':>10}"
        f"{'95 % interval':>15}{'spread':>13}{'false accepts':>16}{'shown':>7}{'threshold':>10}"
    )
    good = True
    for name in options.rows:
        row = ROWS[name]
        results = [
            measure(row, data, seed, options.target)
            for seed in tqdm(range(1, row.draws + 1), desc=name, disable=None, leave=False)
        ]
        good = show(row, results) and good
    sys.exit(0 if good else 1)


def measure(row: Row, data: Data, seed: int, target: float) -> Result:
    drawn = row.draw(data, random.Random(seed))
    table = load_table()
    training = Training(prepare(drawn.labels, table), Plan(target=target))
    while not training.finished:
        training.step(STEP)
    model = training.model()
    scorer = Scorer(model, table)
    predictions = [(scorer.predict(query), truth) for query, truth in drawn.asked]
    unknown = [scorer.predict(line["query"]) for line in data.oos_validation]
    metrics = model.calibration.metrics
    return Result(
        n=len(predictions),
        right=sum(found.agent_id == truth for found, truth in predictions),
        answered=sum(found.sure for found, _ in predictions),
        answered_right=sum(found.sure and found.agent_id == truth for found, truth in predictions),
        unknown=len(unknown),
        accepted=sum(found.sure for found in unknown),
        shown=metrics.get("answered_accuracy"),
        threshold=metrics.get("threshold"),
        refusal=model.calibration.refusal,
    )


def show(row: Row, results: Sequence[Result]) -> bool:
    """Prints the row; returns whether its goals are reached."""
    n, answered = sum(one.n for one in results), sum(one.answered for one in results)
    right, sure = sum(one.right for one in results), sum(one.answered_right for one in results)
    accepted, unknown = sum(one.accepted for one in results), sum(one.unknown for one in results)
    accuracy, coverage = right / n, answered / n
    precision = sure / answered if answered else None
    coverages = [one.answered / one.n for one in results]
    precisions = [one.answered_right / one.answered for one in results if one.answered]
    shown = [one.shown for one in results if one.shown is not None]
    thresholds = [one.threshold for one in results if one.threshold is not None]
    missed = [
        name
        for name, reached in (
            ("accuracy", row.accuracy is None or accuracy >= row.accuracy),
            ("coverage", row.coverage is None or coverage >= row.coverage),
            ("false accepts", row.false_accepts is None or accepted <= row.false_accepts * unknown),
            ("precision", row.precision is None or precision is None or precision >= row.precision),
        )
        if not reached
    ]
    low, high = wilson(sure, answered), wilson(sure, answered, TWO_SIDED)
    print(
        f"{row.name:23}{accuracy:9.1%}{coverage:9.1%}{_spread(coverages, 0):>12}"
        f"{_percent(precision):>10}{f'{low:.1%}-{high:.1%}':>15}{_spread(precisions, 1):>13}"
        f"{f'{accepted} of {unknown}':>16}{_percent(_mean(shown)):>7}"
        f"{_mean(thresholds) or float('nan'):10.3f}"
        f"{'  MISSED: ' + ', '.join(missed) if missed else ''}",
        flush=True,
    )
    for refusal in sorted({one.refusal for one in results if one.refusal}):
        count = sum(one.refusal == refusal for one in results)
        print(f"    {count} of {len(results)} refuse: {refusal}")
    return not missed and not any(one.refusal for one in results)


def _spread(shares: Sequence[float], digits: int) -> str:
    return f"{100 * min(shares):.{digits}f}-{100 * max(shares):.{digits}f}" if shares else "-"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


if __name__ == "__main__":
    main()
