"""Drives the data loop on real queries, through the API alone: import labels, route, label what the
queue asks for, export, load the exports as a trainer would, and check that the counts add up.

    .build/venv/bin/python bench/loop.py --data DIR --url http://localhost:8787

DIR is as for route_dataset.py. Meant for a fresh installation; on another one the counts are those
that this run added. The ten agents stay, for the labels are theirs.
"""

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
from datasets import load_dataset
from tqdm import tqdm

sys.path.append(str(Path(__file__).parents[1]))  # the repository, also when run as a file

from bench.route_dataset import (
    PREFIX,
    agent_bodies,
    draw,
    read_lines,
    read_oos,
    share,
    tally,
)

SHAPES = ("chat", "prompt", "flat")
NO_AGENT = "none"
QUEUE_PAGE = 100


def main() -> None:
    options = read_options()
    train = read_lines(options.data / "train.jsonl")
    validation = [*read_lines(options.data / "validation.jsonl"), *read_oos(options.data)]
    headers = {"authorization": f"Bearer {options.key}"}
    with httpx.Client(base_url=options.url, headers=headers, timeout=120) as client:
        loop = Loop(client)
        create_agents(client, train)
        loop.import_labels(draw(train, options.imported))
        loop.route(draw(validation, options.routed))
        loop.label_from_queue({line["query"]: truth(line) for line in validation}, options.labelled)
        loop.export()
        loop.show_analytics()
    if loop.wrong:
        sys.exit(f"\nDoes not add up: {'; '.join(loop.wrong)}")
    print("\nIt adds up.")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Drives the data loop through the API.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the JSONL files")
    parser.add_argument("--url", default="http://localhost:8787", help="the running product")
    parser.add_argument("--imported", type=int, default=1000, help="queries to import (1000)")
    parser.add_argument("--routed", type=int, default=500, help="queries to route (500)")
    parser.add_argument("--labelled", type=int, default=200, help="queries to label (200)")
    options = parser.parse_args()
    options.key = os.environ["ADMIN_TOKEN"]
    if not options.data.is_dir():
        parser.error(f"{options.data} is no folder; name the one with train.jsonl in it")
    return options


def truth(line: dict[str, Any]) -> str | None:
    return PREFIX + line["agent"] if line["agent"] else None


def create_agents(client: httpx.Client, train: Iterable[dict[str, Any]]) -> None:
    """The agents of the domains; one that is there already stays as it is."""
    for body in agent_bodies(train):
        response = client.post("/v1/agents", json=body)
        if response.status_code != 409:
            response.raise_for_status()


class Loop:
    """One run. `wrong` are the counts that do not add up."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._labels = self._count_labels()
        self._logs = self._count_logs()
        self._answers = self._count_answers()
        self._routed = 0
        self.wrong: list[str] = []

    def import_labels(self, lines: list[dict[str, Any]]) -> None:
        rows = [{"query": line["query"], "agent": truth(line) or NO_AGENT} for line in lines]
        content = "".join(json.dumps(row) + "\n" for row in rows)
        report = self._post("/v1/datasets/import", content=content.encode())
        print(f"imported     {report}")
        self._expect("imported rows", report["rows"], len(lines))
        self._expect("labels after the import", self._count_labels(), self._labels + report["new"])
        self._labels += report["new"]

    def route(self, lines: list[dict[str, Any]]) -> None:
        """No query is answered from a cache, so each one has its own decision and log row."""
        decisions = [
            self._post("/v1/route", json={"query": line["query"], "cache": False})
            for line in tqdm(lines, unit="query", disable=None)
        ]
        self._routed = len(decisions)
        inside = [
            decision["agent"]["id"] == truth(line)
            for line, decision in zip(lines, decisions, strict=True)
            if line["agent"]
        ]
        print(f"routed       {len(decisions)}")
        print(f"accuracy     {share(sum(inside), len(inside))} of the in-scope queries")
        print(f"layers       {tally(decision['layer'] for decision in decisions)}")
        self._expect("log rows", self._count_logs() - self._logs, len(decisions))

    def label_from_queue(self, truths: dict[str, str | None], wanted: int) -> None:
        """With the true answers, in the order in which the queue asks for them."""
        labelled = 0
        while labelled < wanted:
            asked = list(self._queued(min(QUEUE_PAGE, wanted - labelled)))
            labels = [
                {
                    "log_id": item["log_id"],
                    "agent_id": truths[item["query"]],
                    "stream": item["stream"],
                }
                for item in asked
                if item["query"] in truths
            ]
            if not labels:
                break
            self._post("/v1/labels", json=labels)
            labelled += len(labels)
        print(f"labelled     {labelled} from the queue")
        self._expect("labels from the queue", labelled, wanted)
        self._expect("labels after the queue", self._count_labels(), self._labels + labelled)

    def export(self) -> None:
        """All shapes, read as a trainer's library reads them."""
        labels = self._count_labels()
        with tempfile.TemporaryDirectory() as folder:
            for shape in SHAPES:
                params = {"format": shape, "manifest": "true"}
                response = self._client.get("/v1/datasets/export", params=params)
                manifest, _, content = response.raise_for_status().content.partition(b"\n")
                file = Path(folder) / f"{shape}.jsonl"
                file.write_bytes(content)
                data = load_dataset(
                    "json", data_files=str(file), split="train", cache_dir=f"{folder}/cache"
                )
                counts = json.loads(manifest)["manifest"]
                print(f"exported     {shape}: {data.num_rows} rows, columns {data.column_names}")
                self._expect(f"rows of {shape}", data.num_rows, counts["rows"])
                self._expect(f"labels in {shape}", counts["rows"] + counts["unknown_agent"], labels)
            print(f"agents       {tally(Counter(counts['agents']).elements())}")
            print(f"splits       {tally(Counter(counts['splits']).elements())}")

    def show_analytics(self) -> None:
        totals = self._get("/v1/analytics")["totals"]
        print(f"analytics    {json.dumps(totals, indent=2)}")
        added = totals["requests"] - self._answers
        self._expect("requests in the analytics", added, self._routed)

    def _queued(self, limit: int) -> Iterator[dict[str, Any]]:
        yield from self._get("/v1/labels/queue", limit=limit)["data"]

    def _count_labels(self) -> int:
        return int(self._get("/v1/datasets/stats")["total"]["labels"])

    def _count_answers(self) -> int:
        return int(self._get("/v1/analytics")["totals"]["requests"])

    def _count_logs(self) -> int:
        found = 0
        after: dict[str, Any] = {}
        while True:
            page = self._get("/v1/logs", limit=100, **after)
            found, after = found + len(page["data"]), {"after": page["last_id"]}
            if not page["has_more"]:
                return found

    def _expect(self, what: str, found: int, expected: int) -> None:
        if found != expected:
            self.wrong.append(f"{what}: {found} where {expected} were expected")

    def _get(self, path: str, **params: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._client.get(path, params=params).raise_for_status().json()
        return answer

    def _post(self, path: str, **sent: Any) -> dict[str, Any]:
        response = self._client.post(path, **sent)
        if response.is_error:
            sys.exit(f"POST {path} failed with {response.status_code}: {response.text}")
        answer: dict[str, Any] = response.json()
        return answer


if __name__ == "__main__":
    main()
