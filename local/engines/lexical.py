"""A small lexical matcher: which of a few described agents shares the telling words of a query?

Words are stemmed lightly, weighed by how few agents know them (idf), and forgiven small spelling
mistakes by their trigrams. It knows no language beyond that, and no synonyms.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from local.engines.matching import AgentText, Match, Ranking, Result

_WORD = re.compile(r"[^\W_]+")
_SUFFIXES = (
    *("ations", "ation", "ments", "ment", "ings", "ing", "ions", "ion"),
    *("ies", "ied", "ers", "er", "es", "ed", "ly", "s"),
)
_STOP_WORDS = frozenset(
    "a about after all am an and any are as at be been but by can cannot could did do does don for "
    "from get got had has have how i if in is it its just ll like many me much my need not of "
    "on or our out please s she should so some t than that the their them then there these "
    "they this to too up us ve want was we were what when where which who why will with would you "
    "your".split()
)
_DESCRIPTION_WEIGHT = 1.0
_EXAMPLE_WEIGHT = 2.0
_EXAMPLE_BONUS = 1.5
_FUZZY_FROM = 0.6
_TEMPERATURE = 0.25
_STRENGTH = 0.8
_NOTHING_IN_COMMON = 0.3


@dataclass
class _Agent:
    id: str
    weights: dict[str, float] = field(default_factory=dict)
    examples: list[frozenset[str]] = field(default_factory=list)

    def add(self, word: str, weight: float) -> None:
        self.weights[word] = self.weights.get(word, 0.0) + weight


class LexicalMatcher:
    name = "emulated"
    notice = "deterministic emulator, not a language model"

    def __init__(self, warning: str = "") -> None:
        """`warning` is printed once, with the first question: who starts the product reads what the
        emulator prints from then on."""
        self._warning = warning

    def rank(self, query: str, agents: Sequence[AgentText]) -> Ranking:
        if self._warning:
            print(self._warning, flush=True)
            self._warning = ""
        return rank(query, agents)

    def prepare(self, agents: Sequence[AgentText]) -> None:
        return None

    async def run(self, work: Callable[[], Result]) -> Result:
        return work()  # microseconds


def match(query: str, agents: Sequence[AgentText]) -> Match:
    """The best agent and a confidence in 0..1, or no agent when nothing is shared."""
    return rank(query, agents).match


def rank(query: str, agents: Sequence[AgentText]) -> Ranking:
    indexed = [_index(agent) for agent in agents]
    idf = _idf(indexed)
    words = frozenset(stems(query))
    scores = {agent.id: _score(words, agent, idf) for agent in indexed}
    best = max(scores, key=lambda name: scores[name], default=None)
    if best is None or scores[best] < _NOTHING_IN_COMMON:
        nobody = 0.6 if any(score > 0 for score in scores.values()) else 0.85
        return Ranking(None, scores, _shares(scores), 0.0, nobody)
    weights = next(agent.weights for agent in indexed if agent.id == best)
    known = sum(word in weights for word in words) / len(words)
    strength = 1 - math.exp(-scores[best] / _STRENGTH)
    return Ranking(best, scores, _shares(scores), strength * (0.6 + 0.4 * known), 0.0)


def stems(text: str) -> list[str]:
    words = (word.lower() for word in _WORD.findall(text))
    return [_stem(word) for word in words if word not in _STOP_WORDS]


def _stem(word: str) -> str:
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word[: -len(suffix)]
            break
    if len(word) > 3 and word[-1] in "ey":
        word = word[:-1]
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls":
        word = word[:-1]
    return word


def _index(agent: AgentText) -> _Agent:
    indexed = _Agent(agent.id)
    for word in stems(f"{agent.id} {agent.description}"):
        indexed.add(word, _DESCRIPTION_WEIGHT)
    for example in agent.examples:
        words = frozenset(stems(example))
        indexed.examples.append(words)
        for word in words:
            indexed.add(word, _EXAMPLE_WEIGHT)
    return indexed


def _idf(agents: Sequence[_Agent]) -> dict[str, float]:
    known = Counter(word for agent in agents for word in agent.weights)
    return {word: math.log((len(agents) + 1) / (count + 0.5)) for word, count in known.items()}


def _score(words: frozenset[str], agent: _Agent, idf: Mapping[str, float]) -> float:
    shared = sum(_word_score(word, agent, idf) for word in words)
    nearest = max((_overlap(words, example, idf) for example in agent.examples), default=0.0)
    return shared + _EXAMPLE_BONUS * nearest


def _word_score(word: str, agent: _Agent, idf: Mapping[str, float]) -> float:
    if word in idf:
        weight = agent.weights.get(word, 0.0)
        return idf[word] * weight / (weight + 0.5)
    if len(word) < 4 or not agent.weights:
        return 0.0
    likeness, near = max((_likeness(word, known), known) for known in agent.weights)
    weight = agent.weights[near]
    return likeness * idf[near] * weight / (weight + 0.5) if likeness >= _FUZZY_FROM else 0.0


def _overlap(words: frozenset[str], example: frozenset[str], idf: Mapping[str, float]) -> float:
    """The weighed share of words that query and example have in common."""
    everything = sum(idf.get(word, 1.0) for word in words | example)
    return sum(idf.get(word, 1.0) for word in words & example) / everything if everything else 0.0


def _likeness(one: str, other: str) -> float:
    left, right = _trigrams(one), _trigrams(other)
    return 2 * len(left & right) / (len(left) + len(right))


def _trigrams(word: str) -> set[str]:
    padded = f"  {word} "
    return {padded[at : at + 3] for at in range(len(padded) - 2)}


def _shares(scores: Mapping[str, float]) -> dict[str, float]:
    """A softmax."""
    most = max(scores.values(), default=0.0)
    weights = {name: math.exp((score - most) / _TEMPERATURE) for name, score in scores.items()}
    whole = sum(weights.values())
    return {name: weight / whole for name, weight in weights.items()}
