"""One real model decides twice on the same queries: by the likelihood of each option, as the engine
`transformers` of the emulator answers a decision model's question, and by JSON that it writes.

    OMP_NUM_THREADS=1 PYTHONPATH=src nice .build/venv/bin/python -m bench.decision_likelihood \\
      --data DIR --model MODEL

DIR is as for route_dataset.py, MODEL as LOCAL_AI_MODEL. The agents are DIR's ten domains, described
as in adapter_gain.py. Both ways are those of the product: the question that
synapsecore/rankers/routing_question.py asks, the prompt of domain/prompt.py and the reading of its
answer. Only in-scope queries are asked, and "none" is among the answers. Nothing else runs: no
server, no cache, no threshold.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

sys.path.append(str(Path(__file__).parents[1] / "src"))

from bench.adapter_gain import TOPICS, difference_interval, mcnemar
from bench.route_dataset import draw, read_lines
from edgeneuro.domain import question as question_types
from edgeneuro.domain.agent import NO_AGENT, Agent
from edgeneuro.domain.analytics import accuracy_of
from edgeneuro.domain.prompt import build_messages
from edgeneuro.errors import InvalidOutputError
from edgeneuro.gateway.interface import ModelAnswer
from edgeneuro.synapsecore.rankers.model import MAX_TOKENS
from edgeneuro.synapsecore.rankers.model_output import read_output
from edgeneuro.synapsecore.rankers.routing_question import AGENT, build_question
from local.decisions import Choice, ChoiceAnswer, DecisionRequest, most_likely
from local.engines import CompletionRequest, JsonMode, Message
from local.engines.transformers_engine.base import load_base
from local.engines.transformers_engine.engine import MAX_ROWS, TransformersEngine
from local.settings import SettingsError

BINS = 10


@dataclass(frozen=True)
class Outcome:
    """`agent` None: "none". `probability` is None if the model states none; `failed` if its answer
    names no agent."""

    agent: str | None
    probability: float | None = None
    failed: bool = False


@dataclass(frozen=True)
class Measured:
    outcomes: list[Outcome]
    seconds: float


def main() -> None:
    options = read_options()
    lines = draw(read_lines(options.data / f"{options.part}.jsonl"), options.limit)
    try:
        engine = TransformersEngine(load_base(options.model, "float32"))
    except SettingsError as error:
        sys.exit(str(error))
    print(f"model {options.model}, {len(lines)} queries of {options.part}.jsonl, 10 agents")
    asyncio.run(compare_ways(engine, lines))


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder with the JSONL files")
    parser.add_argument("--model", required=True, help="id of the Hub, folder or .gguf file")
    parser.add_argument("--limit", type=int, default=200, help="queries (200)")
    parser.add_argument("--part", default="validation", help="validation, or train to tune on")
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.error(f"{options.data} is no folder; name the one with train.jsonl in it")
    return options


def domain_agents() -> list[Agent]:
    """One agent for each domain, described by a few words: every query's prompt holds them all."""
    return [
        Agent.model_construct(
            id=domain,
            name=domain.replace("_", " ").capitalize(),
            description=topics,
            examples=[],
        )
        for domain, topics in TOPICS.items()
    ]


async def compare_ways(engine: TransformersEngine, lines: Sequence[dict[str, Any]]) -> None:
    agents = domain_agents()
    queries = [line["query"] for line in lines]
    truths = [line["agent"] for line in lines]
    try:
        by_likelihood = await decide_all(engine, agents, queries)
        report("by likelihood", truths, by_likelihood)
        by_json = await write_all(engine, agents, queries)
        report("by JSON", truths, by_json)
    finally:
        await engine.aclose()
    compare(truths, by_likelihood.outcomes, by_json.outcomes)


async def decide_all(
    engine: TransformersEngine, agents: Sequence[Agent], queries: Sequence[str]
) -> Measured:
    started = time.monotonic()
    found = [await decide(engine, agents, query) for query in tqdm(queries, disable=None)]
    return Measured(found, time.monotonic() - started)


async def write_all(
    engine: TransformersEngine, agents: Sequence[Agent], queries: Sequence[str]
) -> Measured:
    started = time.monotonic()
    found: list[Outcome] = []
    for at in tqdm(range(0, len(queries), MAX_ROWS), disable=None):
        batch = queries[at : at + MAX_ROWS]
        found += await asyncio.gather(*(write(engine, agents, query) for query in batch))
    return Measured(found, time.monotonic() - started)


async def decide(engine: TransformersEngine, agents: Sequence[Agent], query: str) -> Outcome:
    """The choice alone: the two yes/no questions of the product decide nothing here."""
    question = build_question(query, agents, context_window=None)
    asked = question.questions[AGENT]
    assert isinstance(asked, question_types.Choice)
    choice = Choice(asked.instructions, asked.options)
    request = DecisionRequest(engine.base.entry, "clef", question.state, {AGENT: choice})
    answer = (await engine.decide(request)).answers[AGENT]
    assert isinstance(answer, ChoiceAnswer)
    best = most_likely(answer.probabilities)
    return Outcome(None if best == NO_AGENT else best, answer.probabilities[best])


async def write(engine: TransformersEngine, agents: Sequence[Agent], query: str) -> Outcome:
    messages = build_messages(query, agents, confidence=True)
    request = CompletionRequest(
        engine.base.entry,
        tuple(Message(each["role"], each["content"]) for each in messages),
        MAX_TOKENS,
        json_mode=JsonMode(),
    )
    completion = await engine.complete(request)
    try:
        named = read_output(ModelAnswer(content=completion.text), agents, stated=True)
    except InvalidOutputError:
        return Outcome(None, failed=True)
    return Outcome(named.agent_id, named.confidence)


def is_right(truth: str, outcome: Outcome) -> bool:
    return not outcome.failed and outcome.agent == truth


def report(name: str, truths: Sequence[str], measured: Measured) -> None:
    outcomes = measured.outcomes
    right = sum(map(is_right, truths, outcomes))
    share = accuracy_of(right, len(truths))
    said = Counter("unreadable" if each.failed else each.agent or "none" for each in outcomes)
    print(f"{name:<14} {share.accuracy:6.1%} [{share.low:.1%}, {share.high:.1%}] right ({right})")
    print(f"{'':<14} {expected_calibration_error(truths, outcomes)}")
    print(f"{'':<14} {measured.seconds / len(truths):.2f} s a query")
    print(
        f"{'':<14} said: {', '.join(f'{key} {count}' for key, count in said.most_common())}",
        flush=True,
    )


def expected_calibration_error(truths: Sequence[str], outcomes: Sequence[Outcome]) -> str:
    """Over ten bins of equal width, of the answers with a probability."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    for truth, each in zip(truths, outcomes, strict=True):
        if each.probability is not None:
            place = min(int(each.probability * BINS), BINS - 1)
            bins.setdefault(place, []).append((each.probability, is_right(truth, each)))
    count = sum(map(len, bins.values()))
    gaps = (
        abs(sum(p for p, _ in rows) - sum(right for _, right in rows)) for rows in bins.values()
    )
    return f"ECE {sum(gaps) / count:.3f} of {count}" if count else "ECE of none"


def compare(truths: Sequence[str], first: Sequence[Outcome], second: Sequence[Outcome]) -> None:
    pairs = [
        (is_right(truth, one), is_right(truth, other))
        for truth, one, other in zip(truths, first, second, strict=True)
    ]
    gained = sum(one and not other for one, other in pairs)
    lost = sum(other and not one for one, other in pairs)
    low, high = difference_interval(gained, lost, len(pairs))
    print(f"difference     {(gained - lost) / len(pairs):+.1%} [{low:+.1%}, {high:+.1%}] (95 %)")
    print(f"McNemar        {gained} gained, {lost} lost, p = {mcnemar(gained, lost):.2g}")


if __name__ == "__main__":
    main()
