"""The gate: whether a message goes on with the agent of the turn before, or leaves it.

It is a logistic regression over a few facts of the message. The first ones need nothing but a
classifier of single messages; their weights, RULE, are the start before there is data. The others
come from what was learned of conversations (followups.py).
"""

from collections.abc import Sequence
from math import log

from edgeneuro.classifier.features import features

Facts = tuple[float, ...]

# The weights of: 1, the score of the agent before by the message alone, the best score of another
# agent, the logarithm of the number of features, the share of them that the answer had.
#
# Fitted on conversations of 16 agents (docs/classifier-design.md), where they hardly depend on the
# agents. Scores have the same scale in every classifier: 1 is the margin.
RULE = (-15.0, -2.6, 2.8, 2.45, -6.5)
# By the rule an agent is kept from this probability on.
KEEPS = 0.8
# Beside them the scores of both agents with the conversation, and that of leaving (followups.py).
FACTS = len(RULE) + 3
# The mean score of the agent before in messages that go on with it: for an agent that the
# classifier does not know.
UNKNOWN_AGENT_SCORE = -0.4
# A longer message is not less of a follow-up; some 25 words.
_MOST_FEATURES = 245
# What an answer asks for stands at its end.
_ANSWER_CHARACTERS = 200
PERCENT = 100


def overlap(active: Sequence[int], answer: str | None) -> int:
    """How many of a hundred features of a message the end of the assistant's last answer had:
    people take up the words of what they are offered. `active` ends with the bias, which is none of
    them."""
    if not answer or len(active) < 2:
        return 0
    answered = set(features(answer[-_ANSWER_CHARACTERS:]))
    shared = sum([bucket in answered for bucket in active]) - 1
    return PERCENT * shared // (len(active) - 1)


def facts(previous: float, other: float, count: int, shared: int, *learned: float) -> Facts:
    """`count` is the number of features; `shared` is the overlap."""
    length = log(min(max(count, 1), _MOST_FEATURES))
    return (1.0, previous, other, length, shared / PERCENT, *learned)


def logit(weights: Sequence[float], values: Sequence[float]) -> float:
    """Of the gate's weights and facts: above 0 the message leaves the agent. No sum(): it rounds
    floats differently from Python 3.12 on."""
    total = 0.0
    for weight, value in zip(weights, values, strict=True):
        total += weight * value
    return total
