"""What a start of the Worker takes: workerd's CPU until it answers, the first answers, memory; and
what the imports of the control plane add to those of the first answer.

    PYTHONPATH=src .build/venv/bin/python -m bench.start_up --starts 5

workerd here runs all imports at each start. Cloudflare runs them once, when a version is uploaded,
and each isolate starts from a copy of the memory after them.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from bench.load_measures import thread_seconds
from bench.load_places import Place, bare_place, headers, mock_model, product_place

BARE, PRODUCT = "bare Python Worker", "product"
_ANSWERS = 3
# Each group is imported after those before it.
IMPORTS = {
    "routing and chat": ("edgeneuro.synapsecore.api", "edgeneuro.synapsecore.chat.api"),
    "jobs": ("edgeneuro.controlplane.jobs.schedule",),
    "all other routes": ("edgeneuro.app.application",),
}
# Prints CPU seconds, MB and the objects that the collector knows of, before and after each group.
_IMPORTING = """
import gc, importlib, json, sys, time
def state():
    gc.collect()
    pages = int(open("/proc/self/statm").read().split()[1])
    return time.process_time(), pages * 4096 / 1e6, len(gc.get_objects())
found = [state()]
for modules in json.loads(sys.argv[1]):
    for module in modules:
        importlib.import_module(module)
    found.append(state())
print(json.dumps(found))
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--starts", type=int, default=5, help="of each Worker (5)")
    options = parser.parse_args()
    print("| Worker | CPU until ready, s | memory, MB | first answers, ms |")
    print("| --- | --- | --- | --- |")
    with mock_model() as model_url:
        for name in (BARE, PRODUCT):
            starts = [_start(name, model_url) for _ in range(options.starts)]
            cpu, megabytes, *answers = map(statistics.median, zip(*starts, strict=True))
            shown = ", ".join(f"{each:.1f}" for each in answers)
            print(f"| {name} | {cpu:.2f} | {megabytes:.0f} | {shown} |")
    print("\n| imports, in CPython | CPU s | memory, MB | objects |")
    print("| --- | --- | --- | --- |")
    for name, (cpu, megabytes, objects) in _imports(options.starts).items():
        print(f"| {name} | {cpu:.2f} | {megabytes:.1f} | {objects:,.0f} |")


def _start(name: str, model_url: str) -> tuple[float, ...]:
    """CPU seconds of the Worker's thread until it is ready, megabytes of its process, and the
    milliseconds of each of the first answers: of questions nobody has asked before."""
    with _place(name, model_url) as place, httpx.Client(headers=headers(), timeout=60) as client:
        cpu, megabytes = max(thread_seconds(place.process_id).values(), default=0.0), _memory(place)
        answers: list[float] = []
        for number in range(_ANSWERS):
            began = time.perf_counter()
            if name == BARE:
                response = client.get(place.url)
            else:
                question = {"query": f"My VPN does not connect, {number}"}
                response = client.post(f"{place.url}/v1/route", json=question)
            response.raise_for_status()
            answers.append((time.perf_counter() - began) * 1000)
    return (cpu, megabytes, *answers)


@contextmanager
def _place(name: str, model_url: str) -> Iterator[Place]:
    if name == BARE:
        with bare_place() as place:
            yield place
    else:
        with product_place(model_url, classifier=False) as (place, _):
            yield place


def _memory(place: Place) -> float:
    """Megabytes that are resident: those of miniflare's isolates too, which are in both."""
    pages = Path(f"/proc/{place.process_id}/statm").read_text(encoding="utf-8").split()[1]
    return int(pages) * 4096 / 1e6


def _imports(times: int) -> dict[str, tuple[float, float, float]]:
    """What each group adds: the medians of CPU seconds, megabytes and objects."""
    command = [sys.executable, "-c", _IMPORTING, json.dumps([*IMPORTS.values()])]
    runs = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(times)
    ]
    found = {}
    for index, name in enumerate(IMPORTS):
        added = [
            [after - before for before, after in zip(run[index], run[index + 1], strict=True)]
            for run in runs
        ]
        cpu, megabytes, objects = map(statistics.median, zip(*added, strict=True))
        found[name] = (cpu, megabytes, objects)
    return found


if __name__ == "__main__":
    main()
