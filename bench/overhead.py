"""What the router adds: /v1/route from the cache, from a classifier and from the emulated model
beside the minimum of a Python Worker, in one run, interleaved so that all of them have the same
conditions. The classifier is learned here, of invented words, through the API.

    PYTHONPATH=src .build/venv/bin/python -m bench.overhead --requests 300
"""

import argparse
import json
import random
import shutil
import tempfile
import time
import tomllib
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
from tqdm import tqdm

from bench.route_dataset import percentile, timed
from scripts import paths
from scripts.options import Options
from scripts.processes import Child, end_all
from scripts.product import free_port, wait_until_ready
from scripts.wrangler import environment, wrangler
from tests.unit.synthetic_labels import labels, question
from tests.worker.product import LocalProduct

WARM_UP = 30
LABELS_EACH = 60
FLOOR = 'Response("hi")'
UNKNOWN = 100
LEARNING_SECONDS = 600
KNOWN = 100  # questions drawn, of which those that the classifier answers are sent again and again
BARE = Path(__file__).parent / "bare"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures what the router adds.")
    parser.add_argument("--requests", type=int, default=300, help="requests of each kind (300)")
    parser.add_argument("--agents", type=int, default=15, help="that the classifier knows (15)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        product = LocalProduct(state=Path(folder) / "product")
        product.start()
        try:
            with (
                bare_worker(Path(folder) / "bare") as bare_url,
                httpx.Client(timeout=120) as client,
            ):
                client.headers["authorization"] = f"Bearer {product.admin_token}"
                learn(client, product.base_url, options.agents)
                measure(client, bare_url, product, options)
        finally:
            product.stop()


@contextmanager
def bare_worker(folder: Path, source: Path = BARE) -> Iterator[str]:
    """The Worker in `source` under the same wrangler, workerd and Pyodide as the product."""
    worker = folder / "worker"  # apart from the state: wrangler reloads when its folder changes
    shutil.copytree(source, worker)
    (worker / "python_modules").symlink_to(paths.WORKER_PACKAGES)
    write_config(worker)
    options = Options(port=free_port(), admin_token="", state=folder / "state")
    options.notes.mkdir(parents=True)
    words: list[str | Path] = ["dev", "--config", worker / "wrangler.json"]
    words += ["--persist-to", options.state, "--port", str(options.port), "--inspector-port", "0"]
    child = Child.start(
        "The bare Worker",
        wrangler(*words, "--show-interactive-dev-session=false"),
        environment=environment(options.state),
        log=options.notes / "wrangler.log",
    )
    try:
        wait_until_ready([child], [options.base_url])
        yield options.base_url
    finally:
        end_all([child])


def write_config(folder: Path) -> None:
    config = tomllib.loads(paths.WRANGLER_CONFIG.read_text(encoding="utf-8"))
    bare = {
        "name": "bare",
        "main": "entry.py",
        "compatibility_date": config["compatibility_date"],
        "compatibility_flags": config["env"]["local"]["compatibility_flags"],
    }
    (folder / "wrangler.json").write_text(json.dumps(bare), encoding="utf-8")


def learn(client: httpx.Client, url: str, agents: int) -> None:
    """A classifier of so many agents, selected."""

    def post(path: str, **sent: Any) -> dict[str, Any]:
        answer: dict[str, Any] = client.post(url + path, **sent).raise_for_status().json()
        return answer

    for number in range(agents):
        name = f"agent_{number}"
        post("/v1/agents", json={"id": name, "name": name, "description": name})
    lines = [
        json.dumps({"query": label.query, "agent": label.agent_id or "none"})
        for label in labels(agents, LABELS_EACH, out_of_scope=UNKNOWN)
    ]
    post("/v1/datasets/import", content="\n".join(lines).encode())
    classifier = post("/v1/classifiers", json={})
    until = time.monotonic() + LEARNING_SECONDS
    while classifier["state"] in ("queued", "running") and time.monotonic() < until:
        time.sleep(1)
        found = client.get(f"{url}/v1/classifiers/{classifier['id']}")
        classifier = found.raise_for_status().json()
    print(f"learned      {classifier['state']}, metrics {classifier['metrics']}")
    client.patch(
        f"{url}/v1/config", json={"classifier": classifier["id"], "audit_sample_share": 0}
    ).raise_for_status()


def measure(
    client: httpx.Client, bare_url: str, product: LocalProduct, options: argparse.Namespace
) -> None:
    chance = random.Random(2)

    def route(query: str) -> httpx.Response:
        return client.post(f"{product.base_url}/v1/route", json={"query": query})

    drawn = [question(chance, f"agent_{n % options.agents}") for n in range(KNOWN)]
    route(drawn[0])  # the classifier is loaded behind this answer
    layers = {query: route(query).headers["x-edgeneuro-layer"] for query in drawn}
    known = cycle([query for query in drawn if layers[query] == "classifier"])
    kinds: dict[str, Callable[[], httpx.Response]] = {
        "/v1/route, cached": lambda: route("My VPN does not connect"),
        "/v1/route, classified": lambda: route(next(known)),
        "/v1/route, asked": lambda: route(f"My VPN does not connect {uuid.uuid4().hex}"),
    }
    times: dict[str, list[float]] = {name: [] for name in (FLOOR, *kinds)}
    for number in tqdm(range(WARM_UP + options.requests), unit="round", disable=None):
        for name, send in kinds.items():
            # A bare request before each: what the product writes after an answer is then its own.
            for each, ask in ((FLOOR, lambda: client.get(bare_url)), (name, send)):
                response, ms = timed(ask)
                response.raise_for_status()
                if number >= WARM_UP:
                    times[each].append(ms)
    floor = percentile(times[FLOOR], 50)
    print(f"{'':24}{'p50 ms':>10}{'p95 ms':>10}{'p50 / floor':>14}")
    for name, taken in times.items():
        p50, p95 = percentile(taken, 50), percentile(taken, 95)
        print(f"{name:24}{p50:10.1f}{p95:10.1f}{p50 / floor:14.2f}")


if __name__ == "__main__":
    main()
