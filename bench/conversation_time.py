"""What a context adds to an answer in workerd, for bench/conversation.py --workerd: to the
classifier alone, in a bare Worker, and to POST /v1/route, where the same messages are sent with a
context and without one, in turn."""

import json
import os
import shutil
import tempfile
from pathlib import Path
from statistics import mean, stdev

import httpx

from bench.classifier import WORKER, outside
from bench.overhead import bare_worker
from bench.soak_memory import product_process
from bench.train_in_worker import product, select
from edgeneuro.classifier.examples import Labelled
from edgeneuro.classifier.model import Model, dumps
from edgeneuro.domain.conversation import PreviousTurn
from scripts import paths
from tests.waiting import until

TURNS, ROUNDS = 500, 6
BLOCKS, BLOCK, WARM_UP = 40, 50, 2  # of requests of one kind
AGENTS = 16
Asked = tuple[str, PreviousTurn]


def measure_time(model: Model, given: list[Labelled], turns: list[Asked]) -> None:
    """`model` and `given`, the labels that the product is to learn, know the agents of `turns`."""
    with tempfile.TemporaryDirectory() as folder:
        _classifier_alone(Path(folder), model, turns[:TURNS])
    with tempfile.TemporaryDirectory() as folder, product(AGENTS, Path(folder)) as client:
        _route(client, Path(folder), given, turns)


def _classifier_alone(folder: Path, model: Model, turns: list[Asked]) -> None:
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


def _route(client: httpx.Client, state: Path, given: list[Labelled], turns: list[Asked]) -> None:
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
    process = product_process(state)
    assert process is not None
    used: tuple[list[float], list[float]] = ([], [])
    for block in range(WARM_UP + BLOCKS):
        order = (0, 1) if block % 2 else (1, 0)
        for kind in order:
            before = cpu_ms(process)
            for number in range(BLOCK):
                body = asked[(block * BLOCK + number) % len(asked)][kind]
                client.post("/v1/route", json=body).raise_for_status()
            if block >= WARM_UP:
                used[kind].append((cpu_ms(process) - before) / BLOCK)
    alone, in_context = used
    pairs = [with_it - without for without, with_it in zip(alone, in_context, strict=True)]
    spread = 1.96 * stdev(pairs) / len(pairs) ** 0.5
    print(f"POST /v1/route, {len(asked)} messages that the classifier answers both ways", end=", ")
    print(f"{BLOCKS * BLOCK:,} requests each way, CPU time of workerd per request:")
    print(f"alone         {mean(alone):.2f} ms")
    print(f"with context  {mean(in_context):.2f} ms, {mean(pairs):+.2f} ms", end=" ")
    print(f"(95 %: {mean(pairs) - spread:+.2f} to {mean(pairs) + spread:+.2f})")


def cpu_ms(process: int) -> float:
    """What the process has used; other processes do not change it, as they do the time."""
    user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return 1000 * (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


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
