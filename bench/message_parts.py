"""How well the parts of a message are found for several agents, on real queries: two queries of
different agents in one message, and single queries, which have one agent.

    PYTHONPATH=src .build/venv/bin/python -m bench.message_parts --data DIR [--pairs N]

DIR holds train.jsonl, validation.jsonl and oos_train.jsonl with `query` and `agent`. Trained on the
training part alone.
"""

import argparse
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.classifier import Data, learn
from edgeneuro.classifier.held_out import wilson
from edgeneuro.classifier.scorer import Scorer
from edgeneuro.synapsecore.message_parts import Judge, parts_of

JOINTS = (". ", "? ", " and ", " and also ", "\n")
Z = 1.96  # two-sided 95 %
THRESHOLD = 0.5  # the setting confidence_threshold


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the parts of messages.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the JSONL files")
    parser.add_argument("--pairs", type=int, default=1_000, help="pairs for each joint")
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.error(f"{options.data} is no folder; name the one with train.jsonl in it")
    data = Data.read(options.data)
    judge = judge_of(Scorer(learn(data.train, data.oos_train, "agent").model))
    single = [bool(parts_of(line["query"], judge)) for line in data.validation]
    print(f"{'single queries taken for several':40}{shown(sum(single), len(single))}")
    chance = random.Random(1)
    for joint in JOINTS:
        found = [pair_found(pair, joint, judge) for pair in pairs(data, options.pairs, chance)]
        right = sum(each == "right" for each in found)
        wrong = sum(each == "wrong" for each in found)
        print(f"{f'pairs joined by {joint!r}: both right':40}{shown(right, len(found))}")
        print(f"{'  another agent than these':40}{shown(wrong, len(found))}")


def judge_of(scorer: Scorer) -> Judge:
    def judge(piece: str) -> tuple[str, float] | None:
        found = scorer.predict(piece)
        return (found.agent_id, found.probability) if found.sure_at(THRESHOLD) else None

    return judge


def pairs(data: Data, count: int, chance: random.Random) -> list[Sequence[dict[str, Any]]]:
    """Two validation queries of different agents each."""
    found: list[Sequence[dict[str, Any]]] = []
    while len(found) < count:
        pair = chance.sample(data.validation, 2)
        if pair[0]["agent"] != pair[1]["agent"]:
            found.append(pair)
    return found


def pair_found(pair: Sequence[dict[str, Any]], joint: str, judge: Judge) -> str:
    """ "right" if these two agents are found and no other, "wrong" if another one is, else
    "none"."""
    found = set(parts_of(joint.join(line["query"] for line in pair), judge))
    if not found:
        return "none"
    return "right" if found == {line["agent"] for line in pair} else "wrong"


def shown(part: int, whole: int) -> str:
    low, high = wilson(part, whole, -Z), wilson(part, whole, Z)
    return f"{part / whole:7.1%} ({low:.1%} to {high:.1%}, n = {whole:,})"


if __name__ == "__main__":
    main()
