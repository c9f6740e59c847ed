"""The questions that a decision model answers, and its answers, apart from any API's format.

A decision model reads a state and typed questions, and returns a probability for each allowed
answer; it writes no text."""

from collections.abc import Mapping
from dataclasses import dataclass

MAX_OPTIONS = 255
MIN_OPTIONS = 2
MAX_LEVELS = 10


@dataclass(frozen=True, slots=True)
class YesNo:
    """Is it so? `yes` and `no` say what each answer means."""

    instructions: str
    yes: str | None = None
    no: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """Which one of 2 to 255 options? `options` are descriptions by the option's id."""

    instructions: str
    options: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Level:
    label: str
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """How much? `levels` are 2 to 10, the lowest first."""

    instructions: str
    levels: tuple[Level, ...]


Question = YesNo | Choice | Score


@dataclass(frozen=True, slots=True)
class YesNoAnswer:
    """`probability` is that of "yes"."""

    probability: float


@dataclass(frozen=True, slots=True)
class ChoiceAnswer:
    """`probabilities` are those of options that were offered; their sum is 1. `choice` is the most
    probable one."""

    choice: str
    probabilities: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ScoreAnswer:
    """`probabilities` are those of the levels, in their order; their sum is 1. `score` is the
    expected level, 0 for the lowest one."""

    score: float
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model declines to answer this question."""


Answer = YesNoAnswer | ChoiceAnswer | ScoreAnswer | Refusal
