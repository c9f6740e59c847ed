"""What a context adds to an answer in workerd, for bench/conversation.py --workerd: to the
classifier alone, in a bare Worker, and to POST /v1/route, where the same messages are sent with a
context and without one, in turn."""

import json
import random
import shutil
import tempfile
from functools import partial
from pathlib import Path

import httpx

from bench.bare_worker import bare_worker
from bench.classifier import WORKER, outside
from bench.route_dataset import percentile, timed
from bench.train_in_worker import product, select
from edgeneuro.classifier.examples import Labelled
from edgeneuro.classifier.model import Model, dumps
from edgeneuro.domain.conversation import PreviousTurn
from scripts import paths
from tests.waiting import until

TURNS, ROUNDS = 500, 6
ASKED, WARM_UP, DRAWS = 1_500, 30, 400
PERCENTILES = (5, 25, 50)  # a busy machine makes all but the lowest longer
AGENTS = 16
MessageInContext = tuple[str, PreviousTurn]


def measure_time(model: Model, given: list[Labelled], turns: list[MessageInContext]) -> None:
    """`model` and `given`, the labels that the product is to learn, know the agents of `turns`."""
    with tempfile.TemporaryDirectory() as folder:
        _classifier_alone(Path(folder), model, turns[:TURNS])
    with product(AGENTS) as client:
        _route(client, given, turns)


def _classifier_alone(folder: Path, model: Model, turns: list[MessageInContext]) -> None:
    source = folder / "source"
    shutil.copytree(WORKER, source)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(paths.ROOT / "src" / "edgeneuro", source / "edgeneuro", ignore=ignored)
    body = [[query, previous.agent, previous.assistant] for query, previous in turns]
    with (
        bare_worker(folder / "bare", source) as url,
        httpx.Client(base_url=url, timeout=600) as client,
    ):
        client.put("/model", content=dumps(model)).raise_for_status()
        client.put("/turns", content=json.dumps(body).encode()).raise_for_status()
        took: dict[str, list[float]] = {"/rank": [], "/rank_turn": []}
        for _ in range(ROUNDS):  # other processes make a round longer, never shorter
            for path, times in took.items():
                times.append(outside(client, path, TURNS))
    alone, in_context = (min(times) for times in took.values())
    print(f"classifier, a message alone   {alone:.3f} ms")
    print(f"classifier, with a context    {in_context:.3f} ms, {in_context - alone:+.3f} ms")


def _route(client: httpx.Client, given: list[Labelled], turns: list[MessageInContext]) -> None:
    """Of the messages that the classifier answers both ways."""
    names = sorted({each.agent_id for each in given if each.agent_id})
    known = {name: f"agent_{number}" for number, name in enumerate(names)}
    _learn(client, given, known)
    asked = []
    for query, previous in turns:
        context = {
            "previous_agent": known[previous.agent or ""],
            "previous_user": previous.user,
            "previous_assistant": previous.assistant,
        }
        bodies: list[dict[str, object]] = [{"query": query}, {"query": query, "context": context}]
        if all(_layer(client, body) == "classifier" for body in bodies):
            asked.append(bodies)
        if len(asked) == 50:
            break
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(WARM_UP + ASKED):
        for kind in (0, 1) if number % 2 else (1, 0):
            # What is written after an answer is done before the next one is timed.
            client.get("/no-such-page")
            send = partial(client.post, "/v1/route", json=asked[number % len(asked)][kind])
            response, ms = timed(send)
            response.raise_for_status()
            if number >= WARM_UP:
                times[kind].append(ms)
    print(f"POST /v1/route, {len(asked)} messages that the classifier answers both ways", end=", ")
    print(f"{ASKED:,} requests each way, in turn:")
    for percent in PERCENTILES:
        alone, in_context = (percentile(each, percent) for each in times)
        low, high = _interval(times, percent)
        print(
            f"p{percent:<3} alone {alone:.2f} ms, with a context {in_context:.2f} ms,"
            f" {in_context - alone:+.2f} ms (95 %: {low:+.2f} to {high:+.2f})"
        )


def _interval(times: tuple[list[float], list[float]], percent: int) -> tuple[float, float]:
    """Of the difference of both percentiles, by drawing again."""
    chance = random.Random(1)
    drawn = []
    for _ in range(DRAWS):
        alone, in_context = (
            percentile(chance.choices(each, k=len(each)), percent) for each in times
        )
        drawn.append(in_context - alone)
    drawn.sort()
    return drawn[DRAWS // 40], drawn[-DRAWS // 40]


def _learn(client: httpx.Client, given: list[Labelled], known: dict[str, str]) -> None:
    lines = []
    for each in given:
        line: dict[str, object] = {"query": each.query, "agent": known.get(each.agent_id or "")}
        if each.previous:
            line["context"] = {
                "previous_agent": known[each.previous.agent or ""],
                "previous_user": each.previous.user,
                "previous_assistant": each.previous.assistant,
            }
        lines.append(json.dumps(line) + "\n")
    content = "".join(lines).encode()
    client.post("/v1/datasets/import", content=content).raise_for_status()
    created = client.post("/v1/classifiers", json={"target": 0.9}).raise_for_status().json()
    path = f"/v1/classifiers/{created['id']}"
    made = until(
        lambda: client.get(path).json(), lambda it: it["state"] not in ("queued", "running")
    )
    print(f"trained in workerd: {made['state']} {made['error'] or ''} {made['follow_ups']}")
    select(client, made["id"])


def _layer(client: httpx.Client, body: dict[str, object]) -> str:
    return client.post("/v1/route", json=body).raise_for_status().headers["x-edgeneuro-layer"]
