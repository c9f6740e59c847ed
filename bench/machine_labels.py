"""How long the database needs to find the machine labels in the newest 100,000 log rows, all
decided by a model, and what is made of them.

    PYTHONPATH=src .build/venv/bin/python -m bench.machine_labels
"""

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Iterator
from typing import Any

from tqdm import tqdm

from edgeneuro.domain.machine_label import MAX_MACHINE_LABELS, choose
from edgeneuro.store.machine_labels import MAX_LOOKED_AT, Wanted, find_candidates
from edgeneuro_testing.sqlite import SqliteDatabase
from scripts.paths import ROOT

AGENTS, CALLERS, RUNS = 150, 500, 3
_STAGES = json.dumps(
    [
        {"name": name, "outcome": "skipped", "reason": "none is in force", "scores": []}
        for name in ("label", "memory_cache", "classifier", "stored_cache")
    ]
    + [{"name": "model", "outcome": "decided", "reason": None, "scores": []}]
)
_ATTEMPTS = json.dumps(
    [{"purpose": "route", "model": "model", "adapter": None, "outcome": "ok", "ms": 300.0}]
)
_COLUMNS = (
    *("seq", "id", "created_at", "request_id", "key_id", "user", "query", "query_hash"),
    *("near_hash", "status", "agent_id", "confidence", "threshold", "layer", "alternatives"),
    *("cache", "attempts", "prompt_tokens", "completion_tokens", "latency_ms", "prompt_version"),
    *("agents_revision", "stages", "model"),
)


def rows(count: int) -> Iterator[tuple[Any, ...]]:
    chance = random.Random(1)
    for number in tqdm(range(1, count + 1), desc="log rows", unit=" rows"):
        digest = hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()
        agent, confidence = f"agent_{chance.randrange(AGENTS)}", 0.5 + chance.random() / 2
        user, query = f"user {chance.randrange(CALLERS)}", f"a question about thing {number}"
        yield (
            *(number, f"dec_{number:010}", number, "req", "key", user, query, digest, digest),
            *(200, agent, confidence, 0.5, "llm", "[]", "miss", _ATTEMPTS, 400, 20, 310.0),
            *("2", "revision", _STAGES, "model"),
        )


def main() -> None:
    database = SqliteDatabase((ROOT / "schema.sql").read_text())
    connection = database._connection
    for trigger in ("logs_insert_fts", "logs_insert_trigrams"):  # nothing here reads them
        connection.execute(f"DROP TRIGGER {trigger}")
    marks = ", ".join("?" * len(_COLUMNS))
    insert = f"INSERT INTO logs ({', '.join(_COLUMNS)}) VALUES ({marks})"
    connection.executemany(insert, rows(MAX_LOOKED_AT))
    connection.commit()
    wanted = Wanted(
        agents=[f"agent_{number}" for number in range(AGENTS)],
        router=None,
        models=[("model", None)],
        confidence=0.8,
    )
    for run in range(1, RUNS + 1):
        started = time.process_time()
        found = asyncio.run(find_candidates(database, wanted))
        read = time.process_time() - started
        labels = choose(found, wanted.agents, per_agent=1_000, total=MAX_MACHINE_LABELS, turns=0)
        chosen = time.process_time() - started - read
        print(
            f"run {run}: {read:.2f} s to find {sum(map(len, found.single.values())):,} candidates,"
            f" {chosen:.2f} s to choose {len(labels.single):,}; left out {dict(labels.left_out)}"
        )


if __name__ == "__main__":
    main()
