"""Compares decision models and text models over a data set, as one table.

    PYTHONPATH=src .build/venv/bin/python -m bench.decision_models --data DIR \\
      --base-url https://edgeneuro.example.workers.dev --models @cf/cloudflare/clef-omni

Every model decides on the same queries through POST /v1/route of a running installation, so the
product's own question, parsing and prices are measured. Use a test installation on a Cloudflare
account: the run creates an agent for each domain of the data set (removed afterwards), its queries
are in the logs, and its model calls are billed. DIR is as bench/route_dataset.py takes it.

The figures, by model:
- accuracy: share of the in-scope queries that were routed to the right agent. A query that failed,
  or whose confidence is below `confidence_threshold`, was not.
- out-of-scope recall: share of the out-of-scope queries of which the model said that no agent fits.
- false accepts: share of the out-of-scope queries that were routed to an agent, so that neither the
  model nor the threshold stopped them.
- ECE: expected calibration error of the most probable answer, an agent or none, as evaluations
  compute it; decisions without a confidence are left out.
- p50, p95: latency of the decision as the installation measures it, without the network from here.
- cost: of the decisions that were made, at the prices of the installation.
"""

import argparse
import sys
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tqdm import tqdm

from bench.route_dataset import (
    PREFIX,
    domain_agents,
    draw,
    engine,
    percentile,
    read_lines,
    read_oos,
)
from edgeneuro.domain.analytics import accuracy_of
from edgeneuro.domain.reliability import Answer, confidence_table
from scripts.key import add_key_option, key_of

DECISION_MODELS = (
    "@cf/cloudflare/clef-flash",
    "@cf/cloudflare/clef-omni",
    "@cf/cloudflare/clef",
)
MODELS = (*DECISION_MODELS, "@cf/meta/llama-3.2-1b-instruct")
# The model decided, even if the policy accepted no agent. All other reasons are failures.
DECIDED = (None, "low_confidence", "out_of_scope")
UNKNOWN = "-"
HEAD = (
    *("model", "n", "accuracy (95 % interval)", "out-of-scope recall", "false accepts", "ECE"),
    *("p50 ms", "p95 ms", "USD per 1,000", "failures"),
)


@dataclass(frozen=True)
class Outcome:
    """One query and what became of it. `agent` is the right one, None if no agent fits. `failure`
    is the reason why the model did not decide; then there are no other figures, except `ms` and
    `cost_usd` if the installation answered all the same. `decided` is the agent that the query was
    routed to, None for nobody. `best` is the most probable answer, None for "no agent fits", and
    `confidence` its probability, None if it is unknown."""

    agent: str | None
    failure: str | None = None
    decided: str | None = None
    said_none: bool = False
    best: str | None = None
    confidence: float | None = None
    ms: float | None = None
    cost_usd: float | None = None
    engine: str = "-"

    @property
    def answered(self) -> bool:
        return self.ms is not None

    @property
    def correct_best(self) -> bool:
        return self.best == self.agent


@dataclass(frozen=True)
class Figures:
    """Of one model. Shares are None if there was no query to count, `cost_usd` (of 1,000 queries)
    if a price is not known."""

    n: int
    inside: int
    right: int
    out_of_scope_recall: float | None
    false_accepts: float | None
    ece: float | None
    p50_ms: float | None
    p95_ms: float | None
    cost_usd: float | None
    failures: Counter[str]


def main(arguments: Sequence[str] | None = None) -> None:
    options = read_options(arguments)
    train = read_lines(options.data / "train.jsonl")
    sample = draw(
        [*read_lines(options.data / "validation.jsonl"), *read_oos(options.data)], options.limit
    )
    headers = {"authorization": f"Bearer {key_of(options)}"}
    with httpx.Client(base_url=options.base_url, headers=headers, timeout=120) as client:
        threshold = check_installation(client, options.models)
        with domain_agents(client, train) as agents:
            bench = Bench(client, sorted(agents))
            outcomes = bench.run(sample, options.models, options.concurrency)
    in_scope = sum(line["agent"] is not None for line in sample)
    print(
        f"{len(sample)} queries, {in_scope} in scope; {len(agents)} agents;"
        f" confidence threshold {threshold:g}\n"
    )
    print_table(outcomes)


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder with the JSONL files")
    parser.add_argument(
        "--models",
        type=lambda text: text.split(","),
        default=list(MODELS),
        help="ids of models, with commas between them (the Clef models and llama-3.2-1b-instruct)",
    )
    parser.add_argument("--base-url", default="http://localhost:8787", help="the installation")
    parser.add_argument("--limit", type=int, default=500, help="queries for each model (500)")
    parser.add_argument("--concurrency", type=int, default=1, help="requests at a time (1)")
    add_key_option(parser)
    options = parser.parse_args(arguments)
    if not options.data.is_dir():
        parser.error(f"{options.data} is not a folder; name the one with train.jsonl in it")
    options.models = list(dict.fromkeys(filter(None, options.models)))
    if not options.models:
        parser.error("--models names no model")
    return options


def check_installation(client: httpx.Client, models: Iterable[str]) -> float:
    """Returns the confidence threshold. Ends the program if the key is refused or a model is not
    registered, before anything is created."""
    for model in models:
        read(client, f"/v1/models/{model}")
    return float(read(client, "/v1/config")["confidence_threshold"]["value"])


def read(client: httpx.Client, path: str) -> Any:
    try:
        response = client.get(path)
    except httpx.HTTPError as error:
        sys.exit(f"GET {path} failed: {error}")
    if response.is_error:
        sys.exit(f"GET {path} failed with {response.status_code}: {response.text}")
    return response.json()


class Bench:
    def __init__(self, client: httpx.Client, agents: list[str]) -> None:
        self._client = client
        # No fallback of any kind: what is measured is the model that is named.
        self._fields = {
            "candidates": agents,
            "cache": False,
            "fallback": False,
            "on_no_fit": "none",
            "user": f"bench-{uuid.uuid4().hex}",
        }

    def run(
        self, sample: list[dict[str, Any]], models: list[str], concurrency: int
    ) -> dict[str, list[Outcome]]:
        """The outcomes by model. The models take turns, so that all have the same conditions."""
        calls = [(model, line) for line in sample for model in models]
        with ThreadPoolExecutor(concurrency) as pool:
            done = pool.map(lambda call: self._route(*call), calls)
            found = list(tqdm(done, total=len(calls), unit="call", disable=None))
        outcomes: dict[str, list[Outcome]] = {model: [] for model in models}
        for (model, _), outcome in zip(calls, found, strict=True):
            outcomes[model].append(outcome)
        return outcomes

    def _route(self, model: str, line: dict[str, Any]) -> Outcome:
        agent = None if line["agent"] is None else PREFIX + line["agent"]
        body = {"query": line["query"], "model": model, **self._fields}
        try:
            response = self._client.post("/v1/route", json=body)
        except httpx.HTTPError as error:
            return Outcome(agent, failure=type(error).__name__)
        if response.is_error:
            return Outcome(agent, failure=error_code(response))
        return outcome_of(agent, response.json())


def error_code(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return f"status {response.status_code}"


def outcome_of(agent: str | None, decision: dict[str, Any]) -> Outcome:
    """The outcome of a query whose right agent is `agent`, from the answer of POST /v1/route."""
    ms, cost_usd = decision["latency_ms"], decision["cost_usd"]
    seen = engine(decision)
    if decision["reason"] not in DECIDED:
        failure = decision["reason"]
        return Outcome(agent, failure=failure, ms=ms, cost_usd=cost_usd, engine=seen)
    said_none = decision["reason"] == "out_of_scope"
    first = decision["scores"][0] if decision["scores"] else None
    if said_none:
        best, confidence = None, decision["none_probability"]
    else:
        best = first["agent_id"] if first else decision["agent"]["id"]
        confidence = first["probability"] if first else None
    return Outcome(
        agent=agent,
        decided=decision["agent"]["id"] if decision["outcome"] == "agent" else None,
        said_none=said_none,
        best=best,
        confidence=confidence,
        ms=ms,
        cost_usd=cost_usd,
        engine=seen,
    )


def figures_of(outcomes: Sequence[Outcome]) -> Figures:
    inside = [each for each in outcomes if each.agent is not None]
    outside = [each for each in outcomes if each.agent is None]
    answered = [each for each in outcomes if each.answered]
    times = [each.ms for each in answered if each.ms is not None]
    costs = [each.cost_usd for each in answered]
    known = [cost for cost in costs if cost is not None]
    priced = bool(costs) and len(known) == len(costs)
    return Figures(
        n=len(outcomes),
        inside=len(inside),
        right=sum(each.decided == each.agent for each in inside),
        out_of_scope_recall=ratio(sum(each.said_none for each in outside), len(outside)),
        false_accepts=ratio(sum(each.decided is not None for each in outside), len(outside)),
        ece=expected_calibration_error(outcomes),
        p50_ms=percentile(times, 50) if times else None,
        p95_ms=percentile(times, 95) if times else None,
        cost_usd=sum(known) / len(costs) * 1000 if priced else None,
        failures=Counter(each.failure for each in outcomes if each.failure is not None),
    )


def ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def expected_calibration_error(outcomes: Iterable[Outcome]) -> float | None:
    """None without any confidence."""
    table = confidence_table(
        [
            Answer(each.confidence, each.correct_best, fold=0)
            for each in outcomes
            if each.confidence is not None
        ]
    )
    return None if table is None else table.ece


def print_table(outcomes: dict[str, list[Outcome]]) -> None:
    """A Markdown table, then why queries failed."""
    figures = {model: figures_of(found) for model, found in outcomes.items()}
    print(f"| {' | '.join(HEAD)} |")
    print(f"| --- | {' | '.join(['---:'] * (len(HEAD) - 1))} |")
    for model, each in figures.items():
        print(f"| {' | '.join(row(model, each))} |")
    for model, each in figures.items():
        for failure, count in each.failures.most_common():
            print(f"\n{model}: {count} failed with {failure}")
    engines = {each.engine for found in outcomes.values() for each in found} - {"-"}
    if engines:
        print(
            f"\nAn emulator of Workers AI answered (engine: {', '.join(sorted(engines))}). These"
            " figures say nothing about the models; run this against an installation on Cloudflare."
        )


def row(model: str, each: Figures) -> list[str]:
    return [
        model,
        str(each.n),
        interval(each.right, each.inside),
        percentage(each.out_of_scope_recall),
        percentage(each.false_accepts),
        number(each.ece, 3),
        number(each.p50_ms, 0),
        number(each.p95_ms, 0),
        number(each.cost_usd, 4),
        str(each.failures.total()),
    ]


def interval(right: int, n: int) -> str:
    found = accuracy_of(right, n)
    if found.accuracy is None or found.low is None or found.high is None:
        return UNKNOWN
    return f"{found.accuracy:.1%} ({found.low:.1%} to {found.high:.1%})"


def percentage(share: float | None) -> str:
    return UNKNOWN if share is None else f"{share:.1%}"


def number(value: float | None, digits: int) -> str:
    return UNKNOWN if value is None else f"{value:.{digits}f}"


if __name__ == "__main__":
    main()
