"""What bench/load.py measures: the product, the bare Python Worker and other gateways, each in
processes of its own, all with the same model that answers at once."""

import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.bare_worker import bare_process
from scripts.children import start_wrangler
from scripts.cron import MINUTES_CRON, cron_url, fire
from scripts.options import Options
from scripts.processes import Child, end_all
from scripts.product import free_port, wait_until_ready
from scripts.wrangler import node
from tests.unit.synthetic_labels import labels, question
from tests.worker.listening import workerd_ports
from tests.worker.product import ADMIN_TOKEN, migrated_state

MOCK = Path(__file__).with_name("load_mock.mjs")
ROUTER = "with_classifier"  # the router that has the classifier: the others ask no classifier
QUESTIONS = 300
LABELS_EACH, UNKNOWN = 60, 100
_LEARNING_SECONDS = 300
# Each write to the emulated D1 waits for the disk in the Worker's own thread, which D1 itself does
# elsewhere: on a busy disk that is half of an answer's time.
_IN_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Place:
    """An address that is loaded, and the process that answers there, if its CPU can be read."""

    url: str
    process_id: int | None = None


@contextmanager
def mock_model() -> Iterator[str]:
    url = f"http://127.0.0.1:{free_port()}"
    port = url.rpartition(":")[2]
    with tempfile.TemporaryDirectory() as folder:
        child = Child.start(
            "The mock of a model",
            [str(node()), str(MOCK), port],
            environment=dict(os.environ),
            log=Path(folder) / "mock.log",
        )
        try:
            wait_until_ready([child], [url])
            yield url
        finally:
            end_all([child])


@contextmanager
def bare_place() -> Iterator[Place]:
    with (
        tempfile.TemporaryDirectory() as folder,
        bare_process(Path(folder)) as (child, options),
    ):
        yield place_of(child, options.port, "/")


@contextmanager
def product_place(
    model_url: str, classifier: bool = True, durable: bool = False
) -> Iterator[tuple[Place, list[str]]]:
    """The product as `npm start` runs it, but with that model; and questions that its classifier
    answers in the router `ROUTER`, if one is to be trained."""
    in_memory = _IN_MEMORY if _IN_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=in_memory) as folder:
        options = Options(
            free_port(),
            ADMIN_TOKEN,
            Path(folder) / "state",
            durable_log="true" if durable else "",
        )
        shutil.copytree(migrated_state(), options.state)
        options.notes.mkdir(parents=True, exist_ok=True)
        child = start_wrangler(options, model_url)
        try:
            wait_until_ready([child], [f"{options.base_url}/healthz"])
            place = place_of(child, options.port, "/healthz")
            with httpx.Client(base_url=place.url, headers=headers(), timeout=120) as client:
                yield place, learn(client, options) if classifier else []
        finally:
            end_all([child])


def headers() -> dict[str, str]:
    return {"authorization": f"Bearer {ADMIN_TOKEN}", "content-type": "application/json"}


def place_of(child: Child, proxy_port: int, path: str) -> Place:
    """workerd's own port, behind wrangler's proxy: that takes a millisecond and half of the
    requests that are answered in a second. Where there is no /proc, the proxy's."""
    for process_id, ports in workerd_ports(child.process.pid).items():
        if proxy_port in ports:  # the workerd that is wrangler's proxy
            continue
        for port in sorted(ports):
            url = f"http://127.0.0.1:{port}"
            if _is_answered(url + path):
                return Place(url, process_id)
    return Place(f"http://127.0.0.1:{proxy_port}")


def _is_answered(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def learn(client: httpx.Client, options: Options) -> list[str]:
    """Trains a classifier on invented words, selects it in a router of its own, and returns
    questions that it answers."""

    def post(path: str, **sent: Any) -> dict[str, Any]:
        answer: dict[str, Any] = client.post(path, **sent).raise_for_status().json()
        return answer

    agents = [each["id"] for each in client.get("/v1/agents").raise_for_status().json()["data"]]
    named = {f"agent_{number}": agent for number, agent in enumerate(agents)}
    lines = [
        json.dumps({"query": label.query, "agent": named.get(label.agent_id or "", "none")})
        for label in labels(len(agents), LABELS_EACH, out_of_scope=UNKNOWN)
    ]
    post("/v1/datasets/import", content="\n".join(lines).encode())
    classifier = post("/v1/classifiers", json={})
    until = time.monotonic() + _LEARNING_SECONDS
    while classifier["state"] in ("queued", "running") and time.monotonic() < until:
        fire(cron_url(options.base_url, MINUTES_CRON, token=options.cron_token))
        found = client.get(f"/v1/classifiers/{classifier['id']}")
        classifier = found.raise_for_status().json()
    if classifier["state"] != "succeeded":
        raise RuntimeError(f"the training: {classifier['state']}, {classifier['error']}")
    # Audit samples stay on, as in an installation.
    post("/v1/routers", json={"id": ROUTER, "name": ROUTER, "classifier": classifier["id"]})
    chance = random.Random(2)
    drawn = [question(chance, each) for each in random.Random(3).choices([*named], k=QUESTIONS)]
    for _ in range(2):  # the classifier is loaded behind the first answers
        layers = [_layer(client, query) for query in drawn]
    known = [query for query, layer in zip(drawn, layers, strict=True) if layer == "classifier"]
    if len(known) < QUESTIONS // 3:
        raise RuntimeError(f"the classifier answers {len(known)} of {QUESTIONS} questions")
    return known


def _layer(client: httpx.Client, query: str) -> str:
    response = client.post("/v1/route", json={"query": query, "router": ROUTER})
    return response.raise_for_status().headers["x-edgeneuro-layer"]
