"""How well the emulator routes by agents' texts alone, with each of its matchers, and how sure it
is: no labels, nothing trained.

    PYTHONPATH=src .build/venv/bin/python -m bench.emulated_agents [--data CLINC] [--dialogues SGD]
        [--fit]

Twelve agents of a shop with five examples each and ten paraphrases (data/twelve_agents.json; the
paraphrases were written to share few words with the examples), and the 300 queries and 40 dialogues
of samples/ with the demonstration agents, which the constants of semantic.py know.
CLINC holds CLINC150: ten agents (bench/ten_agents.py) with five training queries as examples; the
validation part is asked. SGD holds Schema-Guided Dialogue: agents with five first turns as
examples, user turns with the agent before them. --fit prints the likelihood of other constants of
semantic.py on training queries and on samples/.
"""

import argparse
import json
import random
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import log
from pathlib import Path

from bench.conversation import read as read_dialogues
from bench.route_dataset import percentile, read_lines
from bench.ten_agents import agent_of
from edgeneuro.classifier.held_out import TWO_SIDED, wilson
from edgeneuro.domain.agent import NO_AGENT
from local.demonstration import demonstration_agents
from local.engines.lexical import LexicalMatcher
from local.engines.matching import AgentText, Matcher
from local.engines.minilm import load_minilm
from local.engines.semantic import MiniLmMatcher, ranking_of

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES, DIALOGUES, SEED = 5, 150, 1
FITTED = 800
BINS = 10


@dataclass(frozen=True)
class Case:
    """`right` is None for a query that no agent fits; `before` is the agent of the turn before."""

    query: str
    right: str | None
    before: str | None = None


@dataclass
class Table:
    """`pairs` are the stated confidence of each answer and whether it was right."""

    counts: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    pairs: list[tuple[float, bool]] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)

    def show(self, name: str) -> None:
        print(f"  {name}")
        for kind, right in self.counts.items():
            print(f"    {kind:34} {interval(sum(right), len(right))}")
        error = calibration_error(self.pairs)
        print(f"    {'expected calibration error':34} {error:.3f} of {len(self.pairs)}")
        print(f"    {'ms a query: p50, p95':34} {percentile(self.ms, 50):.1f}", end=" ")
        print(f"{percentile(self.ms, 95):.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the emulator's matchers.")
    parser.add_argument("--data", type=Path, help="folder of CLINC150")
    parser.add_argument("--dialogues", type=Path, help="folder of Schema-Guided Dialogue")
    parser.add_argument("--fit", action="store_true", help="other constants, on training queries")
    options = parser.parse_args()
    if options.fit:
        if options.data is None:
            parser.error("--fit needs --data")
        fit(options.data)
        return
    measure("twelve agents, paraphrases", *twelve_agents())
    measure("samples, queries", demonstration_agents(), samples("queries"))
    measure("samples, dialogues", demonstration_agents(), samples("dialogues"))
    if options.data is not None:
        agents, _ = clinc_agents(options.data)
        measure("CLINC150, ten domains", agents, list(clinc_queries(options.data)))
    if options.dialogues is not None:
        measure("SGD, user turns", *sgd(options.dialogues))


def twelve_agents() -> tuple[list[AgentText], list[Case]]:
    found = json.loads((ROOT / "bench" / "data" / "twelve_agents.json").read_text("utf-8"))
    agents = [
        AgentText(each["id"], f"{each['name']}. {each['description']}", each["examples"])
        for each in found["agents"]
    ]
    asked = [Case(text, each["id"]) for each in found["agents"] for text in each["paraphrases"]]
    return agents, [*asked, *(Case(text, None) for text in found["out_of_scope"])]


def samples(name: str) -> list[Case]:
    return [
        Case(
            line["query"],
            None if line["agent"] == NO_AGENT else line["agent"],
            line.get("context", {}).get("previous_agent"),
        )
        for line in read_lines(ROOT / "samples" / f"{name}.jsonl")
    ]


def clinc_agents(folder: Path) -> tuple[list[AgentText], set[str]]:
    """The agents, and the queries that are their examples."""
    by_agent = defaultdict(list)
    for line in read_lines(folder / "train.jsonl"):
        by_agent[line["agent"]].append(line["query"])
    draw = random.Random(SEED)
    agents = []
    for name, queries in sorted(by_agent.items()):
        agent = agent_of(name, draw.sample(queries, EXAMPLES))
        agents.append(AgentText(name, f"{agent.name}. {agent.description}", agent.examples))
    return agents, {text for agent in agents for text in agent.examples}


def clinc_queries(folder: Path, part: str = "validation") -> Iterator[Case]:
    for line in read_lines(folder / f"{part}.jsonl"):
        yield Case(line["query"], line["agent"])
    for line in read_lines(folder / f"oos_{part}.jsonl"):
        yield Case(line["query"], None)


def sgd(folder: Path) -> tuple[list[AgentText], list[Case]]:
    """Services of which the training part has no dialogue are left out with their dialogues."""
    examples = defaultdict(list)
    for dialogue in read_dialogues(folder / "train.jsonl"):
        for said in dialogue:
            if said.agent != said.previous.agent:
                examples[said.agent].append(said.query)
    draw = random.Random(SEED)
    agents = [
        AgentText(name, name, draw.sample(texts, EXAMPLES))
        for name, texts in sorted(examples.items())
    ]
    whole = [
        dialogue
        for dialogue in read_dialogues(folder / "validation.jsonl")
        if all(said.agent in examples for said in dialogue)
    ]
    drawn = draw.sample(whole, DIALOGUES)
    return agents, [
        Case(said.query, said.agent, said.previous.agent) for each in drawn for said in each
    ]


def measure(title: str, agents: Sequence[AgentText], asked: Sequence[Case]) -> None:
    print(f"\n{title}: {len(agents)} agents, {len(asked)} queries")
    for matcher in (LexicalMatcher(), MiniLmMatcher(load_minilm())):
        matcher.rank("the agents' own vectors are made once", agents)
        ask(matcher, agents, asked).show(matcher.name)


def ask(matcher: Matcher, agents: Sequence[AgentText], asked: Iterable[Case]) -> Table:
    table = Table()
    for each in asked:
        start = time.perf_counter()
        ranking = matcher.rank(each.query, agents)
        table.ms.append((time.perf_counter() - start) * 1000)
        match = ranking.match
        stays = each.before is not None and ranking.stays_with(each.before)
        right = (each.before if stays else match.agent) == each.right
        if not stays:
            table.pairs.append((match.confidence, right))
        table.counts[kind(each)].append(right)
    return table


def kind(asked: Case) -> str:
    if asked.right is None:
        return "no agent fits"
    if asked.before is None:
        return "right agent"
    return "same agent" if asked.before == asked.right else "the agent changes"


def interval(right: int, count: int) -> str:
    """A share with its 95 % interval (Wilson)."""
    low, high = wilson(right, count), wilson(right, count, TWO_SIDED)
    return f"{right:5}/{count:<5} {100 * right / count:5.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def calibration_error(pairs: Sequence[tuple[float, bool]]) -> float:
    """The mean difference of stated confidence and share of right answers, in ten bins."""
    bins: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for confidence, right in pairs:
        bins[min(int(confidence * BINS), BINS - 1)].append((confidence, right))
    return sum(
        abs(sum(confidence for confidence, _ in each) - sum(right for _, right in each))
        for each in bins.values()
    ) / len(pairs)


def fit(folder: Path) -> None:
    agents, used = clinc_agents(folder)
    lines = [each for each in clinc_queries(folder, "train") if each.query not in used]
    inside = [each for each in lines if each.right is not None]
    outside = [each for each in lines if each.right is None]
    drawn = [*random.Random(SEED).sample(inside, FITTED), *outside]
    show_likelihoods("training queries of CLINC150", agents, drawn)
    show_likelihoods("queries of samples/", demonstration_agents(), samples("queries"))


def show_likelihoods(title: str, agents: Sequence[AgentText], asked: Sequence[Case]) -> None:
    matcher = MiniLmMatcher(load_minilm())
    scores = [dict(matcher.rank(each.query, agents).scores) for each in asked]
    rows = []
    for sharpness in range(15, 36, 3):
        for step in range(12, 30):
            loss = 0.0
            for each, found in zip(asked, scores, strict=True):
                ranking = ranking_of(found, sharpness, step / 100)
                share = 1.0 if each.right is None else ranking.shares[each.right]
                known = 1 - ranking.evidence if each.right is None else ranking.evidence
                loss -= log(max(share * known, 1e-9)) / len(asked)
            rows.append((loss, sharpness, step / 100))
    print(f"{len(asked)} {title}: mean negative log likelihood, sharpness, none")
    for row in sorted(rows)[:5]:
        print("  {:.4f} {} {:.2f}".format(*row))


if __name__ == "__main__":
    main()
