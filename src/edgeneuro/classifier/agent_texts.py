"""What an agent says of itself, as texts to learn from: its name, the phrases of its description,
and its examples. They are examples from the first day on, before there is a label.

A description is cut into phrases, because a query is about one of the things that it lists:
measured on ten agents with five examples each, phrases make 79 % of the first guesses right, the
description as one text 69 % (bench/agent_texts.py).
"""

import re
from collections.abc import Iterator

from edgeneuro.domain.agent import Agent

MAX_PHRASES = 20  # of a description

# The marks of Chinese, Japanese and Arabic, brackets, quotation marks, dashes and bullets too.
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|(?<=[\u3002\uff01\uff1f\uff1b\u061f])|\n+")
# A comma inside a number or an address cuts nothing.
_PHRASE = re.compile(
    r"[.,;:!?]+(?:\s|$)"
    r"|[\u3001\uff0c\u3002\uff01\uff1f\uff1b\uff1a\u060c\u061b\u061f]"
    r"|[()\[\]\"\u201c\u201d\u201e\u00ab\u00bb\u2022]"
    r"|\s[-\u2013\u2014*]\s|^[-\u2013\u2014*]\s"
    r"|\s(?:and|or|und|oder|sowie|et|ou|y)\s(?=\S)",
    re.IGNORECASE,
)
# What follows in the sentence is what the agent is not for. Fewer words before it than
# _MIN_WORDS name nothing ("Do not use it for …").
_NEGATION = re.compile(
    r"\b(?:not|no|never|except|excluding|without|unlike|other than|instead of|rather than|cannot"
    r"|nicht|kein\w*|außer|ausser|ohne|sauf|sans|pas|excepto|salvo|sin|tranne|non|niet|geen)\b"
    r"|n['\u2019]t\b",
    re.IGNORECASE,
)

_MIN_WORDS = 3


def agent_texts(agent: Agent) -> list[str]:
    """Each once, in an order that is always the same."""
    texts = [agent.name, *phrases(agent.description), *agent.examples]
    return list(dict.fromkeys(each.strip() for each in texts))


def phrases(description: str) -> list[str]:
    """The first MAX_PHRASES things that a description lists, as far as it says what the agent is
    for. All of them, if it says nothing else than what it is not for."""
    positive = list(_phrases(description))
    return (positive or [description])[:MAX_PHRASES]


def _phrases(description: str) -> Iterator[str]:
    for sentence in _SENTENCE.split(description):
        negation = _NEGATION.search(sentence)
        parts = _PHRASE.split(sentence if negation is None else sentence[: negation.start()])
        if negation is not None and len(parts[-1].split()) < _MIN_WORDS:
            parts.pop()
        for phrase in parts:
            if any(map(str.isalnum, phrase)):
                yield phrase.strip()
