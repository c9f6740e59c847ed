"""Posts real queries with known intents to a running product and reports what it decided.

    .build/venv/bin/python bench/route_dataset.py --data DIR --limit 500

DIR holds train.jsonl, validation.jsonl and, if wanted, oos_validation.jsonl, each line
{"query", "intent", "agent"}, `agent` null where no agent covers the query. One agent per domain is
created through the API, named and described by the domain's intents, with up to five examples of
the training part; it is removed afterwards. The queries are a fixed sample of the validation part.
"""

import argparse
import json
import math
import os
import random
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
from tqdm import tqdm

Result = TypeVar("Result")
EXAMPLES = 5
SEED = 1
PREFIX = "bench_"


def main() -> None:
    options = read_options()
    train = read_lines(options.data / "train.jsonl")
    sample = draw(
        [*read_lines(options.data / "validation.jsonl"), *read_oos(options.data)], options.limit
    )
    headers = {"authorization": f"Bearer {options.key}"}
    with (
        httpx.Client(base_url=options.url, headers=headers, timeout=120) as client,
        domain_agents(client, train) as agents,
    ):
        user = f"bench-{uuid.uuid4().hex}"
        ask = Caller(client, sorted(agents), user)
        with ThreadPoolExecutor(options.concurrency) as pool:
            bar = tqdm(pool.map(ask, sample), total=len(sample), unit="query", disable=None)
            results = list(bar)
        report(sample, results, count_log_rows(client, user))
    if any(result["error"] for result in results):
        sys.exit(1)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder with the JSONL files")
    parser.add_argument("--limit", type=int, default=500, help="queries to post (500)")
    parser.add_argument("--url", default="http://localhost:8787", help="the running product")
    parser.add_argument("--concurrency", type=int, default=1, help="requests at a time (1)")
    options = parser.parse_args()
    options.key = os.environ["ADMIN_TOKEN"]
    if not options.data.is_dir():
        parser.error(f"{options.data} is no folder; name the one with train.jsonl in it")
    return options


def read_lines(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def read_oos(data: Path) -> list[dict[str, Any]]:
    path = data / "oos_validation.jsonl"
    return read_lines(path) if path.exists() else []


def draw(lines: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """The same sample at each run; distinct queries, so that no cache answers."""
    distinct = list({line["query"]: line for line in lines}.values())
    random.Random(SEED).shuffle(distinct)
    return distinct[:limit]


@contextmanager
def domain_agents(client: httpx.Client, train: Iterable[dict[str, Any]]) -> Iterator[list[str]]:
    """One agent per domain for the time of the run; other agents stay as they are."""
    made = []
    try:
        for body in agent_bodies(train):
            client.delete(f"/v1/agents/{body['id']}")  # left by a run that was cut off
            client.post("/v1/agents", json={**body, "labels": "keep"}).raise_for_status()
            made.append(body["id"])
        yield made
    finally:
        for agent_id in reversed(made):  # the first may be the default, which goes last
            client.delete(f"/v1/agents/{agent_id}")


def agent_bodies(train: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    by_domain: dict[str, dict[str, str]] = {}
    for line in train:
        by_domain.setdefault(line["agent"], {}).setdefault(line["intent"], line["query"])
    for domain, intents in sorted(by_domain.items()):
        name = domain.replace("_", " ")
        topics = ", ".join(intent.replace("_", " ") for intent in intents)
        yield {
            "id": PREFIX + domain,
            "name": name.capitalize(),
            "description": f"Requests about {name}: {topics}.",
            "examples": list(intents.values())[:EXAMPLES],
        }


class Caller:
    def __init__(self, client: httpx.Client, candidates: list[str], user: str) -> None:
        self._client = client
        self._fields = {"candidates": candidates, "user": user}

    def __call__(self, line: dict[str, Any]) -> dict[str, Any]:
        """The decision, how long it took, or the error."""
        body = {"query": line["query"], **self._fields}
        try:
            response, ms = timed(lambda: self._client.post("/v1/route", json=body))
            response.raise_for_status()
        except httpx.HTTPError as error:
            return {"error": str(error), "ms": None, "decision": None}
        return {"error": None, "ms": ms, "decision": response.json()}


def count_log_rows(client: httpx.Client, user: str) -> int:
    """How many rows of this run the logs hold, read page by page until an older run begins."""
    found, after = 0, None
    while True:
        params = {"limit": "100"} | ({"after": after} if after else {})
        page = client.get("/v1/logs", params=params).raise_for_status().json()
        rows = [row for row in page["data"] if row["user"] == user]
        found, after = found + len(rows), page["last_id"]
        if not page["has_more"] or (found and not rows):
            return found


def report(sample: list[dict[str, Any]], results: list[dict[str, Any]], log_rows: int) -> None:
    answered = [(line, r) for line, r in zip(sample, results, strict=True) if r["decision"]]
    inside = [(line["agent"], r["decision"]) for line, r in answered if line["agent"]]
    outside = [r["decision"] for line, r in answered if not line["agent"]]
    right = sum(decided(decision) == PREFIX + agent for agent, decision in inside)
    fell_back = sum(decided(decision) is None for _, decision in inside)
    refused = sum(decided(decision) is None for decision in outside)
    times = [result["ms"] for _, result in answered]
    print(f"queries            {len(sample)}")
    print(f"errors             {len(sample) - len(answered)}")
    print(f"log rows           {log_rows}")
    print(f"accuracy           {share(right, len(inside))} of the in-scope queries")
    print(f"default agent      {share(fell_back, len(inside))} of the in-scope queries")
    print(f"out of scope found {share(refused, len(outside))}")
    print(f"layers             {tally(r['decision']['layer'] for _, r in answered)}")
    print(f"reasons            {tally(r['decision']['reason'] or '-' for _, r in answered)}")
    print(f"engines            {tally(engine(r['decision']) for _, r in answered)}")
    print(f"p50 / p95          {percentile(times, 50):.1f} / {percentile(times, 95):.1f} ms")
    for error, count in Counter(result["error"] for result in results if result["error"]).items():
        print(f"error ({count} times)  {error}")


def decided(decision: dict[str, Any]) -> str | None:
    """The agent that was chosen; None for the fallback agent."""
    return None if decision["reason"] else decision["agent"]["id"]


def engine(decision: dict[str, Any]) -> str:
    return (decision["attempts"][-1]["engine"] if decision["attempts"] else None) or "-"


def share(part: int, whole: int) -> str:
    return f"{part / whole:6.1%} ({part}/{whole})" if whole else "none"


def tally(words: Iterable[str]) -> str:
    return ", ".join(f"{word} {count}" for word, count in Counter(words).most_common())


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of the values do not exceed (nearest rank)."""
    if not values:
        return 0.0
    rank = math.ceil(len(values) * percent / 100)
    return sorted(values)[max(rank, 1) - 1]


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """What `work` returns, and the milliseconds it took."""
    started = time.perf_counter()
    result = work()
    return result, (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    main()
