"""The product under load, beside the least that a Python Worker can do: each target and the bare
Worker in turn, in one run, straight at workerd, with a model that answers at once and with logging
on.

    PYTHONPATH=src .build/venv/bin/python -m bench.load                             # all targets
    PYTHONPATH=src .build/venv/bin/python -m bench.load --only cached,asked --rounds 3
    PYTHONPATH=src .build/venv/bin/python -m bench.load --peers FOLDER --write docs/performance.md

Ratios are to the bare Worker's figure just before, so that what else the machine does cancels; each
figure is the median of the rounds.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
from tqdm import tqdm

from bench.load_generator import UNIQUE, Load, generate
from bench.load_measures import Piece, measure_load, measure_rows
from bench.load_peers import peer_loads
from bench.load_places import ROUTER, Place, bare_place, headers, mock_model, product_place
from bench.load_table import Line, table, write_table

MODEL = "@cf/meta/llama-3.2-1b-instruct"
KNOWN = "My VPN does not connect"
BARE = "bare Python Worker"
CLASSIFIED = "route, classified"
TARGETS = (
    "/healthz",
    "route, cached",
    CLASSIFIED,
    "route, asked",
    "chat, named model",
    "chat, auto, cached",
)
_WARM_SECONDS = 2


@dataclass(frozen=True)
class Target:
    """`layer` is the one that must decide, None where nothing is routed. `logged`: its answers have
    log rows."""

    name: str
    place: Place
    load: Load
    layer: str | None = None
    logged: bool = False


def main() -> None:
    options = read_options()
    wanted = [name for name in TARGETS if is_wanted(name, options.only)]
    with ExitStack() as stack:
        model_url = stack.enter_context(mock_model())
        bare_at = stack.enter_context(bare_place())
        bare = Target(BARE, bare_at, Load(bare_at.url))
        product, known = stack.enter_context(
            product_place(model_url, classifier=CLASSIFIED in wanted, durable=options.durable)
        )
        targets = [each for each in product_targets(product, known) if each.name in wanted]
        if options.peers:
            peers = stack.enter_context(peer_loads(options.peers, model_url))
            targets += [Target(*each) for each in peers if is_wanted(each[0], options.only)]
        for target in targets:
            check(target)
        lines = measure(bare, targets, options)
    text = table(lines, options.rounds, options.seconds)
    print(text)
    if options.json:
        found = json.dumps([asdict(line) for line in lines], indent=1)
        options.json.write_text(found + "\n", encoding="utf-8")
    if options.write:
        write_table(options.write, text)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", default="", help="words of targets' names, with commas")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of all targets (5)")
    parser.add_argument("--seconds", type=float, default=1, help="of each piece of a round (1)")
    parser.add_argument("--durable", action="store_true", help="with DURABLE_LOG")
    parser.add_argument("--no-rows", action="store_true", help="leave the rows of D1 out")
    parser.add_argument("--peers", type=Path, help="folder with other gateways (load_peers.py)")
    parser.add_argument("--json", type=Path, help="file for all that was measured")
    parser.add_argument("--write", type=Path, help="page that gets the table")
    options = parser.parse_args()
    options.only = [word.strip() for word in options.only.split(",") if word.strip()]
    return options


def is_wanted(name: str, words: Sequence[str]) -> bool:
    return not words or any(word in name for word in words)


def product_targets(place: Place, known: Sequence[str]) -> Iterator[Target]:
    """`known` are questions that the classifier answers."""

    def target(name: str, path: str, bodies: Sequence[object], layer: str | None = None) -> Target:
        load = Load(place.url + path, [json.dumps(each) for each in bodies], headers())
        return Target(name, place, load, layer, logged=bool(bodies))

    def chat(model: str) -> dict[str, object]:
        return {"model": model, "messages": [{"role": "user", "content": KNOWN}]}

    route, completions = "/v1/route", "/v1/chat/completions"
    classified = [{"query": query, "router": ROUTER} for query in known]
    asked = {"query": f"{KNOWN} {UNIQUE}"}
    healthz, cached, by_classifier, by_model, named, auto = TARGETS
    yield target(healthz, "/healthz", [])
    yield target(cached, route, [{"query": KNOWN}], "cache")
    yield target(by_classifier, route, classified, "classifier")
    yield target(by_model, route, [asked], "llm")
    yield target(named, completions, [chat(MODEL)], "direct")
    yield target(auto, completions, [chat("auto")], "cache")


def check(target: Target) -> None:
    """Sends it twice, the first time to fill caches. Raises RuntimeError if another layer decides
    than the one that is to be measured."""
    load = target.load
    with httpx.Client(headers=load.headers, timeout=60) as client:
        for body in load.some(2) if load.bodies else [None]:
            response = client.request(load.method, load.url, content=body).raise_for_status()
    layer = response.headers.get("x-edgeneuro-layer")
    if layer != target.layer:
        raise RuntimeError(f"{target.name}: {layer!r} decided, and not {target.layer!r}")


def measure(bare: Target, targets: Sequence[Target], options: argparse.Namespace) -> list[Line]:
    lines = {each.name: Line(each.name) for each in (bare, *targets)}
    pieces = 2 * options.rounds * len(targets)
    rows = [each for each in targets if each.logged and not options.no_rows]
    bar = tqdm(total=pieces + len(rows) + len(lines), unit="piece", disable=None)
    for target in (bare, *targets):
        bar.set_description(f"warm: {target.name}")
        generate(target.load, connections=8, seconds=_WARM_SECONDS)
        bar.update()
    for _ in range(options.rounds):
        for target in targets:
            for connections, found in ((1, "c1"), (8, "c8")):
                bar.set_description(f"{found}: {target.name}")
                floor, own = (
                    measure_load(
                        each.place, each.load, connections=connections, seconds=options.seconds
                    )
                    for each in (bare, target)
                )
                for name, (measured, cpu_ms) in ((BARE, floor), (target.name, own)):
                    if measured.bad:
                        raise RuntimeError(f"{name}: {measured.bad} requests failed")
                    getattr(lines[name], found).all.append(Piece(measured, floor[0], cpu_ms))
                bar.update()
    for target in rows:
        bar.set_description(f"rows: {target.name}")
        lines[target.name].rows = measure_rows(target.place, target.load)
        bar.update()
    bar.close()
    return list(lines.values())


if __name__ == "__main__":
    main()
