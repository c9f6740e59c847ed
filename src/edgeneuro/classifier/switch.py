"""The switch: whether a message goes on with the agent of the turn before, or leaves it.

It is a logistic regression over a few facts of the message. The first ones need nothing but a
classifier of single messages; their weights, RULE, are the start before there is data. The others
come from what was learned of conversations (followups.py).
"""

import re
from collections.abc import Sequence
from math import log

from edgeneuro.classifier.features import HEAD

Facts = tuple[float, ...]

# The weights of: 1, the score of the agent before by the message alone, the best score of another
# agent, the logarithm of the number of features, the share of the words that the answer had.
#
# Fitted on conversations of 16 agents (docs/classifier-design.md), where they hardly depend on the
# agents. Scores have the same scale in every classifier: 1 is the margin.
RULE = (-15.5, -2.7, 2.9, 2.5, -5.3)
# By the rule an agent is kept from this probability on.
KEEPS = 0.8
# Beside them the scores of both agents with the conversation, and that of leaving (followups.py).
FACTS = len(RULE) + 3
# The mean score of the agent before in messages that go on with it: for an agent that the
# classifier does not know.
UNKNOWN_AGENT_SCORE = -0.4
# A longer message is not less of a follow-up; some 25 words.
_MAX_FEATURES = 245
# What an answer asks for stands at its end.
_ANSWER_CHARACTERS = 200
_WORD = re.compile(r"\w+")
PERCENT = 100


def overlap(query: str, answer: str | None) -> int:
    """How many of a hundred words of a message were among the last ones of the answer before it:
    people take up the words of what they are offered."""
    if not answer:
        return 0
    said = _words(query[:HEAD])
    shared = said & _words(answer[-_ANSWER_CHARACTERS:])
    return PERCENT * len(shared) // max(1, len(said))


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold()))


def facts(previous: float, other: float, count: int, shared: int, *learned: float) -> Facts:
    """`count` is the number of features; `shared` is the overlap."""
    length = log(min(max(count, 1), _MAX_FEATURES))
    return (1.0, previous, other, length, shared / PERCENT, *learned)


def logit(weights: Sequence[float], values: Sequence[float]) -> float:
    """Of the switch's weights and facts: above 0 the message leaves the agent. No sum(): it rounds
    floats differently from Python 3.12 on."""
    total = 0.0
    for weight, value in zip(weights, values, strict=True):
        total += weight * value
    return total
