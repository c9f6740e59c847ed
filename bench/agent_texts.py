"""What agents' texts are worth as examples: the share of first guesses that are right, with nothing
but texts and beside few labels.

    PYTHONPATH=src .build/venv/bin/python -m bench.agent_texts --data DIR

DIR holds CLINC150 as bench.classifier reads it: ten agents (bench/ten_agents.py), each with five
training queries as its examples; the labels are other training queries. The whole validation part
is asked, with three draws of examples and labels.
"""

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

from bench.classifier import Data
from bench.ten_agents import NAMES, agent_of
from edgeneuro.classifier.agent_texts import agent_texts
from edgeneuro.classifier.examples import (
    Labelled,
)
from edgeneuro.classifier.plan import Plan
from edgeneuro.classifier.preparation import prepare
from edgeneuro.classifier.scorer import Scorer
from edgeneuro.classifier.sources import AGENT_TEXT
from edgeneuro.classifier.training import Training
from edgeneuro.classifier.vectors import VectorTable, load_table
from edgeneuro.domain.agent import Agent

EXAMPLES = 5
SEEDS = (1, 2, 3)
LABELS = (0, 5, 20, 50)
MIN_ACCURACY = 0.55  # of first guesses, with nothing but texts

Texts = Callable[[Agent], list[str]]
KINDS: dict[str, Texts] = {
    "no texts": lambda agent: [],
    "examples": lambda agent: agent.examples,
    "and name, description": lambda agent: [agent.name, agent.description, *agent.examples],
    "and name, phrases": agent_texts,
    "name, phrases alone": lambda agent: agent_texts(agent.model_copy(update={"examples": []})),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures agents' texts as examples.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the JSONL files")
    parser.add_argument("--no-vectors", action="store_true", help="by the n-grams alone")
    options = parser.parse_args()
    data = Data.read(options.data)
    table = None if options.no_vectors else load_table()
    asked = [(line["query"], line["agent"]) for line in data.validation]
    print(f"first guesses that are right, of {len(asked):,}; mean of {len(SEEDS)} draws (each)")
    print(f"{'labels an agent':>15}  texts")
    good = True
    for labels in LABELS:
        for name, texts in KINDS.items():
            if labels or name != "no texts":
                shares = [accuracy(draw(data, seed, labels, texts), asked, table) for seed in SEEDS]
                each = " ".join(f"{share:.1%}" for share in shares)
                print(f"{labels:15}  {name:24}{fmean(shares):7.1%}  ({each})", flush=True)
                if texts is agent_texts and not labels:
                    good = fmean(shares) >= MIN_ACCURACY
    sys.exit(0 if good else 1)


def draw(data: Data, seed: int, labels: int, texts: Texts) -> list[Labelled]:
    by_agent: defaultdict[str, list[str]] = defaultdict(list)
    for line in data.train:
        by_agent[line["agent"]].append(line["query"])
    chance = random.Random(seed)
    drawn: list[Labelled] = []
    for name in NAMES:
        queries = chance.sample(by_agent[name], EXAMPLES + labels)
        agent = agent_of(name, queries[:EXAMPLES])
        drawn += [Labelled(text, name, source=AGENT_TEXT) for text in texts(agent)]
        drawn += [Labelled(query, name) for query in queries[EXAMPLES:]]
    return drawn


def accuracy(
    drawn: Sequence[Labelled], asked: Sequence[tuple[str, str]], table: VectorTable | None
) -> float:
    training = Training(prepare(drawn, table), Plan())
    training.step(sys.maxsize)
    scorer = Scorer(training.model(), table)
    return fmean(scorer.predict(query).agent_id == agent for query, agent in asked)


if __name__ == "__main__":
    main()
