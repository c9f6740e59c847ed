"""A classifier whose agents change after its training: one joins by its texts, or one leaves.

    PYTHONPATH=src .build/venv/bin/python -m bench.joining --data DIR

DIR holds CLINC150 as bench.classifier reads it. For each agent that is left out of a training, with
all labels of that agent, the classifier is asked the validation queries of all agents and the
out-of-scope ones: as it is, and with the agent joined by its name, its description and five
training queries as examples. Then for each agent that leaves a classifier of all agents: as it
counts in the product, and with its class taken out of the margin too.
"""

import argparse
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.classifier import Data
from bench.ten_agents import agent_of
from edgeneuro.classifier.agent_texts import agent_texts
from edgeneuro.classifier.examples import Labelled
from edgeneuro.classifier.plan import Plan
from edgeneuro.classifier.preparation import prepare
from edgeneuro.classifier.scorer import Prediction, Scorer
from edgeneuro.classifier.training import Training
from edgeneuro.classifier.vectors import VectorTable, load_table
from edgeneuro.domain.analytics import accuracy_of

EXAMPLES = 5
SEEDS = (1,)
INTENTS = 40  # of the 150, drawn for each seed
LEFT_OUT = 5  # of the agents, for each seed
# By what an agent is: labels an agent, and the share of the validation queries that are asked.
SIZES = {"agent": (150, 0.3), "intent": (20, 1.0)}
MIN_PRECISION = 0.98  # of all answers to queries that fit an agent

LabeledQueries = list[tuple[str, str | None]]


@dataclass(frozen=True)
class Draw:
    """The agents of one seed, their texts, labels and queries."""

    texts: dict[str, list[str]]
    labels: list[Labelled]
    asked: LabeledQueries


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures agents that join and leave.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the JSONL files")
    parser.add_argument("--no-vectors", action="store_true", help="by the n-grams alone")
    options = parser.parse_args()
    data = Data.read(options.data)
    table = None if options.no_vectors else load_table()
    good = True
    for key in SIZES:
        for with_examples in (True, False):
            good = measure(data, key, table, with_examples=with_examples) and good
    sys.exit(0 if good else 1)


def measure(data: Data, key: str, table: VectorTable | None, *, with_examples: bool) -> bool:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for seed in SEEDS:
        draw = draw_agents(data, key, seed, with_examples=with_examples)
        chance = random.Random(f"{key}/{seed}")
        for agent in chance.sample(sorted(draw.texts), LEFT_OUT):
            others = [each for each in draw.labels if each.agent_id != agent]
            scorer = trained(others, seed, table)
            if scorer is not None:
                joined = scorer.joined([agent], draw.texts)
                count(counts["without it"], scorer.predict, draw.asked, agent)
                count(counts["joined"], joined.predict, draw.asked, agent)
        scorer = trained(draw.labels, seed, table)
        if scorer is None:
            continue
        for agent in chance.sample(sorted(draw.texts), LEFT_OUT):
            left = {each: own for each, own in draw.texts.items() if each != agent}
            leaver = scorer.joined([], left)
            count(counts["left"], leaver.predict, draw.asked, agent)
            count(
                counts["left, out of the margin"],
                taken_out(scorer, agent, table),
                draw.asked,
                agent,
            )
    print(
        f"\n{key}s, {SIZES[key][0]} labels each; {'with' if with_examples else 'without'} examples"
    )
    print(f"{'':24}{'its queries':>12}{'by others':>10}{'by it':>7}{'others':>9}", end="")
    print(f"{'answered':>9}{'by it':>7}{'precision of all answers':>34}{'out of scope':>13}")
    good = True
    for name, found in counts.items():
        own, rest = found["own"], found["others"]
        answers = found["own answered"] + found["others answered"]
        right = found["own right"] + found["others right"]
        precision = accuracy_of(right, answers)
        interval = f"{precision.accuracy:.2%} ({precision.low:.2%}-{precision.high:.2%})"
        print(
            f"{name:24}{own:12,}{(found['own answered'] - found['own by it']) / own:10.1%}"
            f"{found['own by it'] / own:7.1%}{rest:9,}{found['others answered'] / rest:9.1%}"
            f"{found['others by it'] / rest:7.2%}{interval:>34}"
            f"{found['outside answered'] / found['outside']:13.1%}",
            flush=True,
        )
        if name == "joined":
            good = (precision.accuracy or 0.0) >= MIN_PRECISION
    return good


def draw_agents(data: Data, key: str, seed: int, *, with_examples: bool) -> Draw:
    each, share = SIZES[key]
    chance = random.Random(seed)
    by_agent: defaultdict[str, list[str]] = defaultdict(list)
    for line in data.train:
        by_agent[line[key]].append(line["query"])
    names = sorted(by_agent)
    if key == "intent":
        names = sorted(chance.sample(names, INTENTS))
    texts, labels = {}, [Labelled(line["query"], None) for line in data.oos_train]
    for name in names:
        drawn = chance.sample(by_agent[name], EXAMPLES + each)
        given = drawn[:EXAMPLES] if with_examples else []
        texts[name] = agent_texts(agent_of(name, given))
        labels += [Labelled(query, name) for query in drawn[EXAMPLES:]]
    queries: LabeledQueries = [
        (one["query"], one[key]) for one in data.validation if one[key] in texts
    ]
    queries = chance.sample(queries, round(share * len(queries)))
    return Draw(texts, labels, queries + [(one["query"], None) for one in data.oos_validation])


def trained(labels: Sequence[Labelled], seed: int, table: VectorTable | None) -> Scorer | None:
    """None if it answers nothing."""
    training = Training(prepare(labels, table), Plan(seed=seed))
    training.step(sys.maxsize)
    model = training.model()
    return None if model.calibration.refusal else Scorer(model, table)


def taken_out(scorer: Scorer, agent: str, table: VectorTable | None) -> Callable[[str], Prediction]:
    """As if the class had never been there, but for what the others learned from its labels."""
    model = scorer.model
    at = model.classes.index(agent)
    calibration = replace(model.calibration, thresholds=without(model.calibration.thresholds, at))
    dense = model.dense
    if dense is not None:
        dense = replace(dense, weights=without_column(dense.weights, len(model.classes), at))
    left = replace(
        model,
        classes=without(model.classes, at),
        weights=without_column(model.weights, len(model.classes), at),
        dense=dense,
        calibration=calibration,
    )
    return Scorer(left, table).predict


def without(values: tuple[Any, ...], at: int) -> tuple[Any, ...]:
    return values[:at] + values[at + 1 :]


def without_column(weights: bytes, classes: int, at: int) -> bytes:
    rows = range(0, len(weights), classes)
    return b"".join(
        [weights[row : row + at] + weights[row + at + 1 : row + classes] for row in rows]
    )


def count(
    counts: Counter[str], predict: Callable[[str], Prediction], asked: LabeledQueries, agent: str
) -> None:
    for query, truth in asked:
        kind = "own" if truth == agent else "outside" if truth is None else "others"
        found = predict(query)
        counts[kind] += 1
        if found.sure:
            counts[f"{kind} answered"] += 1
            counts[f"{kind} right"] += found.agent_id == truth
            counts[f"{kind} by it"] += found.agent_id == agent


if __name__ == "__main__":
    main()
