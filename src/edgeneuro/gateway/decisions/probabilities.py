"""What both wire formats share: the probabilities of an answer, checked against its question.

What an answer means is read strictly: a number that is no probability makes the whole answer
invalid. Its form is read liberally: probabilities may be an object or a list, and an option that
is left out counts 0."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from edgeneuro.domain.question import (
    Answer,
    Choice,
    ChoiceAnswer,
    Level,
    Question,
    Refusal,
    ScoreAnswer,
    YesNo,
    YesNoAnswer,
)
from edgeneuro.errors import InvalidOutputError

_ROUNDING = 1.0001  # a certain answer may be rounded up
# Four decimals of 255 options differ from 1 by 0.013 at most. A sum outside these bounds is no
# distribution over the options: it has probability on something else, or is none at all.
_MIN_SUM, _MAX_SUM = 0.9, 1.1


def read_answer(given: Any, question: Question, *, kind: str, yes: str) -> Answer:
    """The answer to one question. `kind` is the name of the question's type in this format, and
    `yes` that of the field with the probability of "yes". Raises InvalidOutputError."""
    if not isinstance(given, dict):
        raise InvalidOutputError("An answer of the decision model is not an object.")
    answered = given.get("type", kind)
    if answered == "refusal":
        return Refusal()
    if answered != kind:
        raise InvalidOutputError("The decision model's answer is not of its question's type.")
    if isinstance(question, YesNo):
        return YesNoAnswer(_probability(given.get(yes)))
    probabilities = given.get("probabilities")
    if isinstance(question, Choice):
        return _choice(probabilities, question)
    return _score(probabilities, question.levels)


def level_text(level: Level) -> str:
    """A level for a format that has one text for each."""
    return level.label if level.description is None else f"{level.label}: {level.description}"


def _choice(given: Any, question: Choice) -> ChoiceAnswer:
    offered = list(question.options)
    places: dict[str | None, int] = {option: place for place, option in enumerate(offered)}
    found = ((places.get(name), value) for name, value in _pairs(given, "value"))
    shares = _shares(found, len(offered))
    best = max(range(len(offered)), key=shares.__getitem__)  # the first of equal ones
    return ChoiceAnswer(offered[best], dict(zip(offered, shares, strict=True)))


def _score(given: Any, levels: Sequence[Level]) -> ScoreAnswer:
    """An object has the levels' numbers from 0 on as names, a list their labels."""
    places: dict[str | None, int] = {}
    for place, level in enumerate(levels):
        places |= {level.label: place, level_text(level): place}
    if isinstance(given, dict):
        places |= {str(place): place for place in range(len(levels))}
    found = ((places.get(name), value) for name, value in _pairs(given, "label"))
    shares = _shares(found, len(levels))
    expected = sum(place * share for place, share in enumerate(shares))
    return ScoreAnswer(expected, tuple(shares))


def _pairs(given: Any, field: str) -> Iterator[tuple[str | None, Any]]:
    """Names and probabilities, of an object by name or of a list of objects with the name in
    `field`. A name that is no text, such as OpenAI's true and false, was not offered."""
    if isinstance(given, dict):
        yield from given.items()
        return
    if not isinstance(given, list):
        raise InvalidOutputError("The decision model's answer has no probabilities.")
    for each in given:
        if not isinstance(each, dict) or "probability" not in each:
            raise InvalidOutputError("The decision model's probabilities are of no known shape.")
        name = each.get(field)
        yield (name if isinstance(name, str) else None), each["probability"]


def _shares(pairs: Iterable[tuple[int | None, Any]], count: int) -> list[float]:
    """Probabilities by place, whose sum is 1. What was not offered is dropped before the sum is
    checked: an answer that gives a tenth or more to it does not answer the question."""
    found: dict[int, float] = {}
    for place, value in pairs:
        probability = _probability(value)
        if place is None:
            continue
        if place in found:
            raise InvalidOutputError("The decision model gave two probabilities for one option.")
        found[place] = probability
    total = math.fsum(found.values())
    if not _MIN_SUM <= total <= _MAX_SUM:
        raise InvalidOutputError(
            f"The decision model's probabilities for the options sum to {total:.3f}, not to 1."
        )
    return [found.get(place, 0.0) / total for place in range(count)]


def _probability(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _ROUNDING:
        return min(float(value), 1.0)  # NaN is in no range
    raise InvalidOutputError("The decision model gave something that is no probability.")
