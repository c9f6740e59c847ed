"""Labels made of invented words: each agent has words of its own, and all share some."""

import random
from collections.abc import Sequence
from functools import cache

from edgeneuro.classifier.examples import (
    Labelled,
)
from edgeneuro.classifier.plan import Plan
from edgeneuro.classifier.preparation import prepare
from edgeneuro.classifier.training import Training

SHARED = ("please", "how", "can", "i", "the", "my", "help", "with", "now", "want")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
QUICK = Plan(epochs=3)


@cache
def words(agent: str, count: int = 12) -> Sequence[str]:
    chance = random.Random(agent)
    return tuple("".join(chance.choices(LETTERS, k=6)) for _ in range(count))


def question(chance: random.Random, agent: str, noise: float = 0.0) -> str:
    own, others = words(agent), words("anybody", 40)
    parts = chance.choices(SHARED, k=4)
    parts += [chance.choice(others if chance.random() < noise else own) for _ in range(3)]
    chance.shuffle(parts)
    return " ".join(parts)


def labels(agents: int, each: int, *, out_of_scope: int = 0, seed: int = 1) -> list[Labelled]:
    chance = random.Random(seed)
    made = [
        Labelled(question(chance, f"agent_{number}", noise=0.2), f"agent_{number}")
        for number in range(agents)
        for _ in range(each)
    ]
    unknown = [question(chance, f"unknown_{number}") for number in range(out_of_scope)]
    return made + [Labelled(text, None) for text in unknown]


def trained(given: list[Labelled], plan: Plan = QUICK) -> Training:
    training = Training(prepare(given), plan)
    while not training.finished:
        training.step(10_000)
    return training
