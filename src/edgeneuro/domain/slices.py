"""Slices: the groups of questions by which the results of an evaluation are shown. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from edgeneuro.domain.language import guess_language

_LANGUAGE_KEYS = ("language", "lang", "locale")
# Characters; a bound belongs to the shorter ones.
_LENGTHS = ((20, "1-20"), (60, "21-60"), (200, "61-200"))
_LAST_LENGTH = "over 200"
MAX_KEYS, MAX_VALUES, MIN_QUESTIONS = 8, 20, 5
_MAX_VALUE_CHARACTERS = 64


class Slice(NamedTuple):
    """`by` is language, length, session, or `metadata.KEY`."""

    by: str
    value: str


class SlicedQuestion(NamedTuple):
    """`turn` is its place in its session, "first" or "later"; None where it is not known to be in
    one."""

    query: str
    turn: str | None
    metadata: Mapping[str, Any]


def slices_of(questions: Sequence[SlicedQuestion]) -> list[list[Slice]]:
    """The slices of each question. Of the metadata only values that at least 5 questions share: 20
    of each key, of the 8 keys that most questions have."""
    of_metadata = [_metadata_slices(each.metadata) for each in questions]
    kept = _frequent(Counter(each for found in of_metadata for each in found))
    return [
        [
            Slice("language", _language(question)),
            Slice("length", _length(question.query)),
            Slice("session", question.turn or "none"),
            *(each for each in found if each in kept),
        ]
        for question, found in zip(questions, of_metadata, strict=True)
    ]


def _language(question: SlicedQuestion) -> str:
    """What the metadata say, else a guess."""
    for key in _LANGUAGE_KEYS:
        stated = question.metadata.get(key)
        if isinstance(stated, str) and stated:
            return stated.lower().replace("_", "-").split("-")[0][:_MAX_VALUE_CHARACTERS]
    return guess_language(question.query)


def _length(query: str) -> str:
    return next((name for most, name in _LENGTHS if len(query) <= most), _LAST_LENGTH)


def _metadata_slices(metadata: Mapping[str, Any]) -> list[Slice]:
    found = []
    for key, value in metadata.items():
        if isinstance(value, bool):
            value = str(value).lower()
        if key not in _LANGUAGE_KEYS and len(str(value)) <= _MAX_VALUE_CHARACTERS:
            found.append(Slice(f"metadata.{key}", str(value)))
    return found


def _frequent(counts: Counter[Slice]) -> set[Slice]:
    by_key: dict[str, list[Slice]] = {}
    for each in sorted(counts, key=lambda one: (-counts[one], one)):
        if counts[each] >= MIN_QUESTIONS:
            by_key.setdefault(each.by, []).append(each)
    sums = {key: sum(counts[each] for each in found) for key, found in by_key.items()}
    keys = sorted(by_key, key=lambda key: (-sums[key], key))[:MAX_KEYS]
    return {each for key in keys for each in by_key[key][:MAX_VALUES]}
