"""Exports of the product as a trainer meets them, of questions that are easy to distinguish."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SYSTEM = """You route the user's message to the one agent that should handle it.

Agents:
- it: IT. laptops, VPN
- hr: HR. leave, contracts

Answer with JSON only: {"agent": "<id>"}"""
WORDS = {
    "it": ("laptop", "screen", "printer", "password", "network"),
    "hr": ("holiday", "contract", "salary", "leave", "pension"),
}
FRAMES = ("my {} is gone", "help with {}", "who knows about {}", "the {} again", "need {} today")


def questions(each: int, *, seed: int = 1) -> list[tuple[str, str]]:
    """So many an agent, no two alike, in a mixed order."""
    drawn = random.Random(seed)
    found = [
        (f"{frame.format(word)} {number}", agent)
        for agent, words in WORDS.items()
        for number, (word, frame) in enumerate(
            (drawn.choice(words), drawn.choice(FRAMES)) for _ in range(each)
        )
    ]
    drawn.shuffle(found)
    return found


def prompt_line(question: str, agent: str) -> dict[str, Any]:
    return {"prompt": _messages(question), "completion": [_answer(agent)]}


def chat_line(question: str, agent: str) -> dict[str, Any]:
    return {"messages": [*_messages(question), _answer(agent)]}


def _messages(question: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]


def _answer(agent: str) -> dict[str, str]:
    return {"role": "assistant", "content": json.dumps({"agent": agent})}


def write(path: Path, lines: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def write_export(path: Path, each: int, *, seed: int = 1) -> Path:
    return write(path, [prompt_line(*one) for one in questions(each, seed=seed)])
