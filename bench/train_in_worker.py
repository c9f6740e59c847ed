"""Trainings inside workerd, on CLINC150: their slices and time, the model's size and figures, how
long an isolate loads it, and what 150 classes cost an answer beside 2, interleaved.

    PYTHONPATH=src .build/venv/bin/python -m bench.train_in_worker --data DIR
"""

import argparse
import json
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle, pairwise
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from bench.route_dataset import percentile, timed
from tests.worker.product import LocalProduct

TRAINING_SECONDS, POLL_SECONDS = 900, 0.1
LOADS, WARM_UP, ASKED = 10, 30, 400
Lines = list[tuple[str, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures trainings inside workerd.")
    parser.add_argument("--data", type=Path, required=True, help="folder with CLINC150's parts")
    data: Path = parser.parse_args().data
    lines = learned_from(data, "train", "validation")
    unknown = learned_from(data, "oos_train")
    with product(15) as client:
        train(client, numbered(lines, 15, 5_000))
    with ExitStack() as stack:
        tiny, whole = (stack.enter_context(product(150)) for _ in range(2))
        train(tiny, [*numbered(lines, 150, 15_000, only=2), *unknown], target=0.9)
        train(whole, numbered(lines, 150, 15_000))
        loading(whole, lines)
        stage(tiny, whole, lines)


def learned_from(data: Path, *parts: str) -> Lines:
    """Query and intent of the lines; of each agent the product keeps a tenth for its test part."""
    rows = [json.loads(row) for part in parts for row in (data / f"{part}.jsonl").open()]
    found = {row["query"]: "none" if row["agent"] is None else row["intent"] for row in rows}
    return list(found.items())


def numbered(lines: Lines, agents: int, most: int, *, only: int | None = None) -> Lines:
    """Of each intent as many of the first lines; the intents are dealt out to the agents."""
    intents = {name: number for number, name in enumerate(sorted({name for _, name in lines}))}
    most_each = -(-most // len(intents))
    seen: Counter[str] = Counter()
    dealt: Lines = []
    for query, intent in lines:
        seen[intent] += 1
        agent = intents[intent] % agents
        if seen[intent] <= most_each and agent < (only or agents):
            dealt.append((query, f"agent_{agent}"))
    return dealt[:most]


@contextmanager
def product(agents: int) -> Iterator[httpx.Client]:
    """A product of its own with so many agents, all made here; the sample ones are gone."""
    with tempfile.TemporaryDirectory() as folder:
        local = LocalProduct(state=Path(folder))
        local.start()
        try:
            headers = {"authorization": f"Bearer {local.admin_token}"}
            with httpx.Client(base_url=local.base_url, headers=headers, timeout=120) as client:
                samples = [each["id"] for each in client.get("/v1/agents").json()["data"]]
                for number in range(agents):
                    name = f"agent_{number}"
                    agent = {"id": name, "name": name, "description": name, "default": not number}
                    client.post("/v1/agents", json=agent).raise_for_status()
                for sample in samples:
                    client.delete(f"/v1/agents/{sample}").raise_for_status()
                yield client
        finally:
            local.stop()


def train(client: httpx.Client, lines: Lines, **body: Any) -> None:
    """Polls, which has the training go on, and selects what comes of it."""
    content = "".join(json.dumps({"query": query, "agent": agent}) + "\n" for query, agent in lines)
    client.post("/v1/datasets/import", content=content.encode()).raise_for_status()
    created = client.post("/v1/classifiers", json=body).raise_for_status().json()
    begun = time.monotonic()
    ends = [begun]
    while time.monotonic() - begun < TRAINING_SECONDS:
        made = client.get(f"/v1/classifiers/{created['id']}").raise_for_status().json()
        if made["progress"]["slices"] >= len(ends):
            ends.append(time.monotonic())
        if made["state"] not in ("queued", "running"):
            break
        time.sleep(POLL_SECONDS)
    slices = [round(after - before, 1) for before, after in pairwise(ends)]
    print(f"{made['state']} {made['error'] or ''}: {made['labels']} labels,", end=" ")
    print(f"{len(made['agents'])} agents, {made['progress']['visits']} visits")
    print(f"  {ends[-1] - begun:.1f} s, slices {slices} s, {made['size']} bytes")
    print(f"  {made['metrics']}")
    select(client, made["id"])


def select(client: httpx.Client, classifier_id: str | None) -> None:
    body = {"classifier": classifier_id, "audit_sample_share": 0.0}
    client.patch("/v1/config", json=body).raise_for_status()


def route(client: httpx.Client, query: str) -> tuple[str, float]:
    """The layer that answered, and the milliseconds."""
    response, ms = timed(lambda: client.post("/v1/route", json={"query": query}))
    return response.raise_for_status().headers["x-edgeneuro-layer"], ms


def answered(client: httpx.Client, lines: Lines) -> list[str]:
    route(client, "warm up")  # the classifier is loaded behind this answer
    # The question itself is labelled, so its label would decide; punctuation is no feature.
    asked = [f"{query} !" for query, _ in lines[:100]]
    return [query for query in asked if route(client, query)[0] == "classifier"]


def loading(client: httpx.Client, lines: Lines) -> None:
    """An answer with a load behind it and the next one, beside two without."""
    selected = client.get("/v1/config").json()["classifier"]["value"]
    known = answered(client, lines)
    took = []
    for _ in range(LOADS):
        select(client, None)
        asked = route(client, f"nothing known {uuid.uuid4().hex}")[1]
        select(client, selected)
        with_load = route(client, f"nothing known {uuid.uuid4().hex}")[1]
        layer, after_it = route(client, known[0])
        if layer == "classifier":
            took.append(with_load + after_it - asked - route(client, known[0])[1])
    print(
        f"loaded in {median(took):.0f} ms, of {len(took)} from {min(took):.0f} to {max(took):.0f}"
    )


def stage(tiny: httpx.Client, whole: httpx.Client, lines: Lines) -> None:
    """The same two agents' questions to both, in turn."""
    both = [line for line in lines if line[1] in sorted({name for _, name in lines})[:2]]
    sure = set(answered(whole, both))
    known = cycle([query for query in answered(tiny, both) if query in sure])
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(WARM_UP + ASKED):
        query = next(known)
        for client, taken in zip((tiny, whole), times, strict=True):
            layer, ms = route(client, query)
            if number >= WARM_UP and layer == "classifier":
                taken.append(ms)
    two, all_of_them = (percentile(taken, 50) for taken in times)
    print(f"p50 answered: 2 classes {two:.2f} ms, 150 classes {all_of_them:.2f} ms, ", end="")
    print(f"difference {all_of_them - two:.2f} ms of {[len(taken) for taken in times]}")


if __name__ == "__main__":
    main()
