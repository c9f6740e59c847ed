"""What an adapter gains on real queries, through the running product.

    .build/venv/bin/python -m bench.adapter_gain prepare --data DIR --out OUT
    python train_lora.py --base-model … --data OUT/train.jsonl --eval-data OUT/validation.jsonl
    .build/venv/bin/python -m bench.adapter_gain measure --data DIR --base MODEL --adapter MODEL

`prepare` makes one agent of each of DIR's domains (others are disabled), imports DIR's training
part as labels, and exports what a trainer reads. `measure` puts the same questions of DIR's
validation part, of which none was learned from, to the base and to the adapter, by POST /v1/route,
and says how sure the difference is.
"""

import argparse
import json
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from tqdm import tqdm

from bench.route_dataset import draw, percentile, read_lines, timed

PARTS = ("train", "validation")
# A few words each: the prompt is read for every question.
TOPICS = {
    "auto_and_commute": "car, fuel, tires, traffic, commute",
    "banking": "accounts, balances, transfers, PIN, checks",
    "credit_cards": "cards, limits, APR, credit score, rewards",
    "home": "shopping and to-do lists, calendar, music, smart home",
    "kitchen_and_dining": "recipes, ingredients, calories, restaurants",
    "meta": "the assistant itself: settings, language, name, volume, cancel, yes, no",
    "small_talk": "greetings, jokes, the assistant as a person",
    "travel": "flights, hotels, visas, vaccines, luggage, translation",
    "utility": "time, weather, alarms, timers, conversions, calls, texts, coins, dice",
    "work": "payday, taxes, 401k, insurance, leave, meetings",
}


def main() -> None:
    options = read_options()
    headers = {"authorization": f"Bearer {os.environ['ADMIN_TOKEN']}"}
    with httpx.Client(base_url=options.url, headers=headers, timeout=300) as client:
        options.run(client, options)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--data", type=Path, required=True, help="folder with the JSONL files")
    shared.add_argument("--url", default="http://localhost:8787", help="the running product")
    prepare_ = commands.add_parser("prepare", parents=[shared])
    prepare_.add_argument("--out", type=Path, required=True, help="folder for the exports")
    prepare_.set_defaults(run=prepare)
    measure_ = commands.add_parser("measure", parents=[shared])
    measure_.add_argument("--base", required=True, help="id of the base model")
    measure_.add_argument("--adapter", required=True, help="id of the adapter")
    measure_.add_argument("--limit", type=int, default=400, help="questions (400)")
    measure_.add_argument("--concurrency", type=int, default=8, help="requests at a time (8)")
    measure_.set_defaults(run=measure)
    return parser.parse_args()


def prepare(client: httpx.Client, options: argparse.Namespace) -> None:
    make_agents(client)
    lines = read_lines(options.data / "train.jsonl")
    fields = ("query", "agent")
    body = "".join(json.dumps({name: each[name] for name in fields}) + "\n" for each in lines)
    report = client.post("/v1/datasets/import", content=body.encode()).raise_for_status().json()
    print(f"{report['labels']} labels")
    options.out.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        params = {"format": "prompt", "split": part}
        export = client.get("/v1/datasets/export", params=params).raise_for_status()
        (options.out / f"{part}.jsonl").write_bytes(export.content)
        print(f"{options.out / f'{part}.jsonl'}: {len(export.content.splitlines())} lines")


def make_agents(client: httpx.Client) -> None:
    there = client.get("/v1/agents", params={"limit": 100}).raise_for_status().json()["data"]
    known = {agent["id"] for agent in there}
    for domain, topics in TOPICS.items():
        body = {"id": domain, "name": domain.replace("_", " ").capitalize(), "description": topics}
        if domain not in known:
            client.post("/v1/agents", json=body).raise_for_status()
    client.patch("/v1/agents/small_talk", json={"default": True}).raise_for_status()
    for agent_id in known - set(TOPICS):
        client.patch(f"/v1/agents/{agent_id}", json={"enabled": False}).raise_for_status()


def measure(client: httpx.Client, options: argparse.Namespace) -> None:
    lines = draw(read_lines(options.data / "validation.jsonl"), options.limit)
    right = {
        model: ask_all(client, model, lines, options.concurrency)
        for model in (options.base, options.adapter)
    }
    base, adapter = right[options.base], right[options.adapter]
    gained = sum(now and not before for before, now in zip(base, adapter, strict=True))
    lost = sum(before and not now for before, now in zip(base, adapter, strict=True))
    low, high = difference_interval(gained, lost, len(lines))
    print(f"\nquestions   {len(lines)}")
    for name, found in (("base", base), ("adapter", adapter)):
        share = sum(found) / len(found)
        print(f"{name:<11} {share:6.1%} right ({sum(found)}/{len(found)})")
    print(f"difference  {(gained - lost) / len(lines):+.1%} [{low:+.1%}, {high:+.1%}] (95 %)")
    print(f"McNemar     {gained} gained, {lost} lost, p = {mcnemar(gained, lost):.2g}")


def ask_all(
    client: httpx.Client, model: str, lines: Sequence[dict[str, Any]], concurrency: int
) -> list[bool]:
    ask = partial(ask_one, client, model)
    with ThreadPoolExecutor(concurrency) as pool:
        found = list(tqdm(pool.map(ask, lines), total=len(lines), desc=model, disable=None))
    times = [ms for _, ms, _ in found]
    failed = [outcome for _, _, outcome in found if outcome != "ok"]
    print(f"{model}: p50 {percentile(times, 50):.0f} ms, p95 {percentile(times, 95):.0f} ms,")
    print(f"  {len(failed)} without a usable answer {sorted(set(failed))}")
    return [is_right for is_right, _, _ in found]


def ask_one(client: httpx.Client, model: str, line: dict[str, Any]) -> tuple[bool, float, str]:
    """Whether it is right, how long it took, and what became of the asking."""
    body = {"query": line["query"], "model": model, "cache": False, "fallback": False}
    response, ms = timed(lambda: client.post("/v1/route", json=body))
    if response.status_code != 200:
        is_json = response.headers.get("content-type") == "application/json"
        why = response.json()["error"]["code"] if is_json else f"status {response.status_code}"
        return False, ms, str(why)
    decision = response.json()
    chosen = None if decision["reason"] else decision["agent"]["id"]
    return chosen == line["agent"], ms, "ok"


def difference_interval(gained: int, lost: int, total: int) -> tuple[float, float]:
    """95 % of a difference of paired shares, by the normal approximation with Agresti and Min's
    correction (Statistics in Medicine 24, 2005): half a pair more in each of the four cells."""
    size, up, down = total + 2, gained + 0.5, lost + 0.5
    middle = (up - down) / size
    spread = math.sqrt((up + down - (up - down) ** 2 / size) / size**2)
    return middle - 1.96 * spread, middle + 1.96 * spread


def mcnemar(gained: int, lost: int) -> float:
    """The exact two-sided p: as uneven a split of the pairs that differ, if both were alike."""
    total, fewer = gained + lost, min(gained, lost)
    tail = sum(math.comb(total, each) for each in range(fewer + 1)) / float(2**total)
    return min(1.0, 2 * tail)


if __name__ == "__main__":
    main()
