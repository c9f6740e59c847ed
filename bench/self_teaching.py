"""A stream of queries through the product in workerd, which teaches itself from a model's answers:
how many calls of the model it still makes, and how right it stays.

    PYTHONPATH=src .build/venv/bin/python -m bench.self_teaching --data DIR --intents --right 0.94

DIR holds train.jsonl, oos_train.jsonl and oos_validation.jsonl of {"query", "intent", "agent"}. The
agents are the intents, or with --domains the domains; their names and descriptions are made of
their ids, and nobody labels anything. The emulator's engine "dataset" is the model: it answers from
the data and is right in the share --right of the queries, its --mistakes independent or systematic.

The training part comes in random order, mixed with the out-of-scope queries. After each 100 queries
the minute's cron fires, as if they had taken a minute, and while a job runs no query comes. At the
end the out-of-scope queries that the product never saw are asked: those of the validation part, and
those of the training part that came after the last query.

With --offline the product runs in this process instead, on a clock of its own: the same decisions,
but for what depends on several requests at a time, in a third of the time. bench/self_teaching_loop
goes without the product, in a fifth of that.

The exit status is 1 if a goal is missed."""

import argparse
import contextlib
import io
import json
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from bench.self_teaching_places import InProcess, InWorkerd, Place
from local.engines.dataset_table import DatasetTable, Mistakes

BLOCK = 100  # queries between two crons
WINDOW = 1_000  # queries of a row of the table
MAX_ACCURACY_LOST, MAX_FALSE_ACCEPTS = 0.005, 0.08
# Of calls per 1,000 queries, from so many queries on: with a model that is right in 94 %, in less,
# and with systematic mistakes.
_GOALS = ((5_000, 350, 450, None), (10_000, 230, 230, 320))


@dataclass(frozen=True)
class StreamQuery:
    query: str
    truth: str | None  # None: no agent fits


@dataclass
class Window:
    """What WINDOW queries came to. `calls` are those of the model, audit samples too; `right` and
    `model_right` are of all queries; `false_accepts` are out-of-scope queries that an agent
    answered."""

    first: int
    queries: int = 0
    calls: int = 0
    right: int = 0
    model_right: int = 0
    out_of_scope: int = 0
    false_accepts: int = 0
    layers: dict[str, int] = field(default_factory=dict)

    @property
    def calls_per_1000(self) -> float:
        return 1_000 * self.calls / max(1, self.queries)


@dataclass(frozen=True)
class Goal:
    name: str
    value: float
    most: float

    @property
    def met(self) -> bool:
        return self.value <= self.most


def main() -> None:
    options = read_options()
    stream, unseen = read_stream(options)
    table = DatasetTable(
        [{"query": each.query, "agent": each.truth} for each in (*stream, *unseen)],
        right=options.right,
        mistakes=options.mistakes,
        seed=options.seed,
    )
    with tempfile.TemporaryDirectory() as folder:
        place = start(Path(folder), (*stream, *unseen), table, options)
        try:
            run = Run(place, table)
            with contextlib.redirect_stdout(io.StringIO()):
                run.set_up(sorted({each.truth for each in stream if each.truth is not None}))
            run.send(stream[: options.queries])
            later = [each for each in stream[options.queries :] if each.truth is None]
            run.ask_unseen([*unseen, *later])
        finally:
            place.stop()
    report(run.windows, run.unseen, options.right, options.mistakes)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the JSONL files")
    agents = parser.add_mutually_exclusive_group(required=True)
    agents.add_argument("--intents", action="store_true", help="an agent for each intent")
    agents.add_argument("--domains", action="store_true", help="an agent for each domain")
    parser.add_argument("--queries", type=int, default=12_000, help="queries to send (12000)")
    parser.add_argument("--right", type=float, default=0.94, help="the model's accuracy (0.94)")
    parser.add_argument("--mistakes", choices=("independent", "systematic"), default="independent")
    parser.add_argument("--offline", action="store_true", help="in this process, not in workerd")
    parser.add_argument("--seed", type=int, default=1, help="order and mistakes (1)")
    options = parser.parse_args()
    if not (options.data / "train.jsonl").exists():
        parser.error(f"{options.data} has no train.jsonl")
    return options


def read_stream(options: argparse.Namespace) -> tuple[list[StreamQuery], list[StreamQuery]]:
    """The training part with its out-of-scope queries in random order, and those of the validation
    part."""
    name: Literal["intent", "agent"] = "intent" if options.intents else "agent"
    stream = [*read(options.data / "train.jsonl", name), *read(options.data / "oos_train.jsonl")]
    random.Random(options.seed).shuffle(stream)
    return stream, list(read(options.data / "oos_validation.jsonl"))


def read(path: Path, name: str | None = None) -> Iterator[StreamQuery]:
    """`name` is the field with the agent; None: no agent fits any of them."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            found = json.loads(line)
            yield StreamQuery(found["query"], None if name is None else found[name])


def start(
    folder: Path, known: Sequence[StreamQuery], table: DatasetTable, options: argparse.Namespace
) -> Place:
    if options.offline:
        return InProcess(table)
    data = folder / "data.jsonl"
    lines = [json.dumps({"query": each.query, "agent": each.truth}) + "\n" for each in known]
    data.write_text("".join(lines), encoding="utf-8")
    return InWorkerd(
        folder, data, right=options.right, mistakes=options.mistakes, seed=options.seed
    )


class Run:
    def __init__(self, place: Place, table: DatasetTable) -> None:
        self._place = place
        self._table = table
        self.windows: list[Window] = []
        self._sent = 0
        self._classifier: str | None = None
        self._seen: set[str] = set()
        self.unseen = (0, 0)  # accepted, asked

    def set_up(self, agents: Sequence[str]) -> None:
        """Only these agents, and the router teaches itself."""
        call = self._place.call
        before = [each["id"] for each in call("GET", "/v1/agents", limit=100)["data"]]
        for number, agent_id in enumerate(agents):
            name = agent_id.replace("_", " ")
            body = {
                "id": agent_id,
                "name": name.capitalize(),
                "description": f"Requests about {name}.",
                "default": number == 0,
            }
            call("POST", "/v1/agents", body)
        for agent_id in before:
            call("DELETE", f"/v1/agents/{agent_id}")
        settings = {"learning": "on", "on_no_fit": "none", "time_budget_ms": 60_000}
        call("PATCH", "/v1/config", settings)

    def send(self, stream: Sequence[StreamQuery]) -> None:
        with tqdm(total=len(stream), unit="query", disable=None) as bar:
            for at in range(0, len(stream), BLOCK):
                if at % WINDOW == 0:
                    self.windows.append(Window(at))
                window, block = self.windows[-1], stream[at : at + BLOCK]
                for asked, decision in zip(block, self._route(block), strict=True):
                    self._count(window, asked, decision)
                window.calls += self._place.model_calls()
                self._sent += len(block)
                bar.update(len(block))
                bar.clear()
                if self._sent % WINDOW == 0 or self._sent == len(stream):
                    print(row(window), flush=True)
                self._minute()

    def ask_unseen(self, unseen: Sequence[StreamQuery]) -> None:
        """Out-of-scope queries that the product has never seen."""
        decisions = self._route(unseen)
        self.unseen = (sum(each["outcome"] == "agent" for each in decisions), len(unseen))

    def _route(self, block: Sequence[StreamQuery]) -> list[dict[str, Any]]:
        with contextlib.redirect_stdout(io.StringIO()):  # the log lines of this process
            return self._place.route([each.query for each in block])

    def _count(self, window: Window, asked: StreamQuery, decision: dict[str, Any]) -> None:
        agent = decision["agent"]["id"] if decision["outcome"] == "agent" else None
        layer = (
            decision["layer"] if decision["reason"] is None else f"no agent ({decision['reason']})"
        )
        window.queries += 1
        window.right += agent == asked.truth
        window.model_right += self._table.answer(asked.query).agent == asked.truth
        window.layers[layer] = window.layers.get(layer, 0) + 1
        if asked.truth is None:
            window.out_of_scope += 1
            window.false_accepts += agent is not None

    def _minute(self) -> None:
        """Trainings and changes of the classifier are shown."""
        call = self._place.call
        with contextlib.redirect_stdout(io.StringIO()):
            seconds = self._place.minute()
            classifiers = call("GET", "/v1/classifiers", limit=20)["data"]
            learning = call("GET", "/v1/learning")
        for one in reversed(classifiers):
            if one["id"] not in self._seen and one["state"] not in ("queued", "running"):
                self._seen.add(one["id"])
                print(training_line(self._sent, one, seconds), flush=True)
        if learning["enabled"] != self._classifier:
            was, self._classifier = self._classifier, learning["enabled"]
            print(f"{self._sent:7}: enabled {self._classifier} (was {was})", flush=True)
        if self._sent % WINDOW == 0:
            print(
                f"{self._sent:7}: {learning['state']}: {learning['next_step']['text']}", flush=True
            )


def report(
    windows: Sequence[Window], unseen: tuple[int, int], right: float, mistakes: Mistakes
) -> None:
    """`unseen`: how many out-of-scope queries that were never seen an agent answered, and how many
    were asked. Exits with 1 if a goal is missed."""
    queries = sum(each.queries for each in windows)
    accuracy = sum(each.right for each in windows) / queries
    models = sum(each.model_right for each in windows) / queries
    accepted, asked = unseen
    goals = [
        Goal("accuracy lost against the model, cumulated", models - accuracy, MAX_ACCURACY_LOST),
        Goal(f"false accepts, {accepted} of {asked} unseen", accepted / asked, MAX_FALSE_ACCEPTS),
    ]
    seen = sum(each.out_of_scope for each in windows)
    if seen:
        false_accepts = sum(each.false_accepts for each in windows)
        name = f"false accepts, {false_accepts} of {seen} in the stream"
        goals.append(Goal(name, false_accepts / seen, MAX_FALSE_ACCEPTS))
    for first, good, worse, systematic in _GOALS:
        window = next((each for each in windows if each.first == first), None)
        if window is not None and window.queries == WINDOW:
            most = good if right > 0.9 else worse
            if mistakes == "systematic" and systematic is not None:
                most = systematic
            goals.append(Goal(f"calls per 1,000 after {first:,}", window.calls_per_1000, most))
    print(f"\n{queries} queries; right {accuracy:.2%}, the model alone {models:.2%}")
    for goal in goals:
        mark = "met" if goal.met else "MISSED"
        print(f"{mark:7}{goal.name:50}{goal.value:10.4g}  at most {goal.most:g}")
    if not all(goal.met for goal in goals):
        sys.exit("A goal is missed.")


def row(window: Window) -> str:
    layers = ", ".join(f"{name} {n}" for name, n in sorted(window.layers.items()))
    return (
        f"{window.first + window.queries:7} queries: {window.calls_per_1000:5.0f} calls per 1,000,"
        f" right {window.right / window.queries:6.1%} (model"
        f" {window.model_right / window.queries:6.1%}), false accepts"
        f" {window.false_accepts}/{window.out_of_scope}; {layers}"
    )


def training_line(sent: int, one: dict[str, Any], seconds: float) -> str:
    metrics = one["metrics"] or {}
    shown = {
        name: metrics.get(name)
        for name in (
            *("held_out", "accuracy", "coverage", "answered_accuracy", "noise_plateau"),
            *("threshold", "out_of_scope_threshold", "false_accept_rate"),
        )
    }
    why = one.get("error") or metrics.get("refusal") or ""
    return f"{sent:7}: trained {one['id']} in {seconds:.0f} s: {one['state']} {shown} {why}"


if __name__ == "__main__":
    main()
