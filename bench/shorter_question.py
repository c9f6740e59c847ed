"""How much shorter the question for a model is with 150 agents, and how often the right agent is
among those that it offers.

    PYTHONPATH=src .build/venv/bin/python -m bench.shorter_question --data DIR [--labels 10 50]
        [--tokenizer tokenizer.json] [--plain]

DIR holds CLINC150 as bench.classifier reads it: its 150 intents are the agents, each with five
training queries as its examples; the labels are other training queries, and the validation part is
asked. Tokens are counted by the tokenizer of the file (in the format of the library tokenizers), or
else estimated as bytes / 4.
"""

import argparse
import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from bench.classifier import Data
from bench.ten_agents import made_agent
from edgeneuro.classifier.examples import Labelled
from edgeneuro.classifier.held_out import wilson
from edgeneuro.classifier.plan import Plan
from edgeneuro.classifier.preparation import prepare
from edgeneuro.classifier.scorer import Scorer, read_query
from edgeneuro.classifier.shortlist import ONE_SIDED, SIZES, representatives
from edgeneuro.classifier.training import Training
from edgeneuro.classifier.vectors import load_table
from edgeneuro.domain.agent import Agent
from edgeneuro.domain.prompt import build_messages
from edgeneuro.domain.query import query_hash
from edgeneuro.isolate.classifier_examples import KnownExample, KnownExamples
from edgeneuro.synapsecore.rankers.routing_question import build_question
from edgeneuro.synapsecore.shortlist import with_examples

EXAMPLES = 5
TIMED = 200  # questions whose prompts are built
WINDOW = 200_000  # tokens: no question is cut to it

Lines = Sequence[dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures shorter questions.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the JSONL files")
    parser.add_argument("--labels", type=int, nargs="*", default=[10, 50], help="of each agent")
    parser.add_argument("--tokenizer", type=Path, help="tokenizer.json")
    parser.add_argument("--plain", action="store_true", help="without word vectors")
    options = parser.parse_args()
    data = Data.read(options.data)
    count = tokens_by(options.tokenizer)
    by_intent: defaultdict[str, list[str]] = defaultdict(list)
    for line in data.train:
        by_intent[line["intent"]].append(line["query"])
    agents = [agent_of(intent, own[:EXAMPLES]) for intent, own in sorted(by_intent.items())]
    for labels in options.labels:
        given = [
            Labelled(query, intent)
            for intent, own in sorted(by_intent.items())
            for query in random.Random(intent).sample(own[EXAMPLES:], min(labels, len(own) - 5))
        ]
        given += [Labelled(line["query"], None) for line in data.oos_train]
        measure(labels, given, agents, data.validation, count, plain=options.plain)


def tokens_by(path: Path | None) -> Callable[[str], int]:
    if path is None:
        return lambda text: len(text.encode()) // 4
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    return lambda text: len(tokenizer.encode(text).ids)


def agent_of(intent: str, examples: list[str]) -> Agent:
    name = intent.replace("_", " ")
    description = f"Answers every question and request of users that is about {name}."
    return made_agent(intent, name.capitalize(), description, examples)


def measure(
    labels: int,
    given: list[Labelled],
    agents: Sequence[Agent],
    asked: Lines,
    count: Callable[[str], int],
    *,
    plain: bool,
) -> None:
    table = None if plain else load_table()
    examples = prepare(given, table)
    training = Training(examples, Plan())
    while not training.finished:
        training.step(10_000)
    fit, scorer = training.shortlist(), Scorer(training.model(), table)
    print(f"\n{labels} labels an agent: {fit.agents or 'all'} agents are offered")
    print(f"{'':>8}{'held out':>22}{'validation':>22}")
    rankings = [(line, scorer.rank(line["query"]).probabilities) for line in asked]
    for found in fit.recalls:
        right = sum(
            sum(one > ranks[line["intent"]] for one in ranks.values()) < found.agents
            for line, ranks in rankings
        )
        low = wilson(right, len(asked), -ONE_SIDED)
        print(
            f"best {found.agents:3}{found.recall:14.2%} >= {found.low:.2%}"
            f"{right / len(asked):14.2%} >= {low:.2%}"
        )
    print(f"n = {fit.held_out:,} held out, {len(asked):,} asked; one-sided 95 % bounds")
    texts = {query_hash(one.query): one.query for one in given}
    known: KnownExamples = {
        agent: [KnownExample(texts[key], read_query(texts[key], None).sketch) for key in keys]
        for agent, keys in representatives(examples).items()
    }
    for size in SIZES:
        show_size(size, agents, known, rankings[:: len(rankings) // TIMED][:TIMED], count)


def show_size(
    size: int,
    agents: Sequence[Agent],
    known: KnownExamples,
    rankings: Sequence[tuple[dict[str, Any], dict[str, float]]],
    count: Callable[[str], int],
) -> None:
    whole, short, ms = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list), []
    for line, ranks in rankings:
        query = line["query"]
        best = set(sorted(ranks, key=ranks.__getitem__, reverse=True)[:size])
        started = time.perf_counter()
        chosen = [agent for agent in agents if agent.id in best]
        offered = with_examples(chosen, query, known)
        ms.append((time.perf_counter() - started) * 1000)
        for sums, those in ((whole, agents), (short, offered)):
            for name, text in questions(query, those).items():
                sums[name].append(count(text))
    for name in whole:
        before, after = fmean(whole[name]), fmean(short[name])
        print(
            f"best {size}, {name:15}{before:8,.0f} -> {after:6,.0f} tokens"
            f" ({1 - after / before:.1%} less), chosen in {fmean(ms):.2f} ms"
        )


def questions(query: str, agents: Sequence[Agent]) -> dict[str, str]:
    """All that a model of each kind reads."""
    messages = build_messages(query, agents, confidence=True)
    asked = build_question(query, agents, context_window=WINDOW)
    shown = [f"{name} {each.instructions} {each.criteria}" for name, each in asked.shown().items()]
    return {
        "text model": "\n".join(message["content"] for message in messages),
        "decision model": "\n".join([asked.state, *shown]),
    }


if __name__ == "__main__":
    main()
