"""Decision models: questions about a state, and probabilities as answers, apart from the two
formats in which they travel (system_one.py and openai_format.py)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.catalogue import Model

MIN_OPTIONS, MAX_OPTIONS = 2, 255
MIN_LEVELS, MAX_LEVELS = 2, 10


@dataclass(frozen=True)
class YesNo:
    """`yes` and `no` say what each answer means."""

    instructions: str
    yes: str | None = None
    no: str | None = None


@dataclass(frozen=True)
class Choice:
    """`options` are descriptions by id; an id is unique, also where the format has booleans."""

    instructions: str
    options: Mapping[str, str | None]


@dataclass(frozen=True)
class Level:
    """`label` is what the format calls it, `text` what a model reads."""

    label: Any
    text: str


@dataclass(frozen=True)
class Score:
    """The levels are in order, the lowest first."""

    instructions: str
    levels: tuple[Level, ...]


Question = YesNo | Choice | Score


@dataclass(frozen=True)
class YesNoAnswer:
    """`probability` is that of "yes"."""

    probability: float


@dataclass(frozen=True)
class ChoiceAnswer:
    """`choice` and `confidence` are None if the engine leaves them to the format."""

    probabilities: Mapping[str, float]
    choice: str | None = None
    confidence: float | None = None


@dataclass(frozen=True)
class ScoreAnswer:
    """`probabilities` are those of the levels, in their order."""

    probabilities: tuple[float, ...]
    score: float | None = None
    confidence: float | None = None


@dataclass(frozen=True)
class Refusal:
    """The model declines to answer this question."""


Answer = YesNoAnswer | ChoiceAnswer | ScoreAnswer | Refusal


@dataclass(frozen=True)
class DecisionRequest:
    """`state` is a text or JSON; `images` are URLs that belong to it. `name` is what the request
    calls the model."""

    model: Model
    name: str
    state: Any
    questions: Mapping[str, Question]
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decided:
    """A question may be missing in `answers`. Tokens None are not reported."""

    answers: Mapping[str, Answer]
    input_tokens: int | None
    output_tokens: int | None = 0
    metadata: Mapping[str, str] = field(default_factory=dict)


def text_of(value: Any) -> str:
    """Instructions, criteria and states may be JSON, which a model reads as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def most_likely(probabilities: Mapping[str, float]) -> str:
    """The first one on a tie."""
    return max(probabilities, key=lambda name: probabilities[name])


def expected_level(probabilities: Sequence[float]) -> float:
    """From 0, the lowest level, to the number of levels less one."""
    return round(sum(at * share for at, share in enumerate(probabilities)), 4)


def choice_confidence(probabilities: Sequence[float]) -> float:
    """How far the most probable option is above an even share: 0 for an even distribution, 1 for
    certainty. No vendor documents a formula ("derived from the distribution", docs.typesafe.ai);
    this one is that of servers that reproduce Jev's numbers (kime, jev-bridge)."""
    even = 1 / len(probabilities)
    return round(min(max((max(probabilities) - even) / (1 - even), 0.0), 1.0), 4)


def score_confidence(probabilities: Sequence[float]) -> float:
    """1 less the mean distance from the expected level, as a share of that distance of an even
    distribution. It agrees with the published answer of Clef (juspay/neurolink: four levels, score
    2.96, confidence 0.92), which the distance from the most probable level would not."""
    middle = sum(at * share for at, share in enumerate(probabilities))
    distance = sum(share * abs(at - middle) for at, share in enumerate(probabilities))
    centre = (len(probabilities) - 1) / 2
    even = sum(abs(at - centre) for at in range(len(probabilities))) / len(probabilities)
    return round(min(max(1 - distance / even, 0.0), 1.0), 4)
