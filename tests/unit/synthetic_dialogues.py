"""Conversations of invented words: a question of an agent, replies that could follow any question,
and questions that leave for another agent."""

import random
from collections.abc import Iterator

from edgeneuro.classifier.examples import Labelled
from edgeneuro.classifier.sources import HUMAN
from edgeneuro.domain.conversation import NOTHING_BEFORE, PreviousTurn
from tests.unit.synthetic_labels import question, words

REPLIES = (
    "yes please",
    "yes, that is right",
    "no, not that one",
    "the second one",
    "ok, and when is that?",
    "sounds good",
    "what else is there?",
    "tell me more about it",
    "how much is it",
    "no thanks",
)
TURNS = 6
LEAVES_AT = 4  # the turn that leaves for another agent


def answer(chance: random.Random, agent: str) -> str:
    return f"There are {' and '.join(chance.choices(words(agent), k=2))}. Which one?"


def reply(chance: random.Random) -> str:
    """Said of one thing or another, so that no two are the same."""
    return f"{chance.choice(REPLIES)} {' '.join(chance.choices(words('anybody', 40), k=2))}"


def dialogue(chance: random.Random, agents: int, *, source: int = HUMAN) -> Iterator[Labelled]:
    agent, previous = f"agent_{chance.randrange(agents)}", NOTHING_BEFORE
    for turn in range(TURNS):
        if turn == LEAVES_AT:
            others = [f"agent_{n}" for n in range(agents) if f"agent_{n}" != agent]
            agent = chance.choice(others)
        new = turn in (0, LEAVES_AT)
        query = question(chance, agent, noise=0.2) if new else reply(chance)
        yield Labelled(query, agent, previous=previous, source=source)
        previous = PreviousTurn(agent, query, answer(chance, agent))


def dialogues(agents: int, count: int, *, seed: int = 1, source: int = HUMAN) -> list[Labelled]:
    chance = random.Random(seed)
    return [labelled for _ in range(count) for labelled in dialogue(chance, agents, source=source)]
