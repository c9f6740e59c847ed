"""Queries as identities: which are the same question, which nearly the same, and in which part of a
data set each one belongs."""

import hashlib
import re
from typing import Literal

from edgeneuro.domain.canonical import canonical, without_joiners

Split = Literal["train", "validation", "test"]

# Of 100 questions, by the hash of their near form: 80 train, 10 validation, 10 test.
_VALIDATION_FROM, _TEST_FROM = 80, 90
_WORD = re.compile(r"[^\W_]+")
# One character may normalise to 18, so the limit of a query's text does not bound the near form.
_MAX_NEAR_CHARACTERS = 8_000


def normalise(query: str) -> str:
    """Queries that differ in case, spacing, Unicode form or invisible characters alone are the same
    question. Labels belong to questions: which agent is right does not depend on case, and one
    label holds for all spellings. Cached answers belong to the exact text that a model was sent."""
    return " ".join(without_joiners(canonical(query)).casefold().split())


def query_hash(query: str) -> str:
    """The identity of a question: 32 hex digits over its normalised form."""
    return _sha256(normalise(query))[:32]


def near_form(query: str) -> str:
    """What near-duplicates have in common: the words, whatever their order, punctuation, repetition
    and plural s. Only the first 8,000 characters of the normalised query are read."""
    text = normalise(query)[:_MAX_NEAR_CHARACTERS]
    words = {word.removesuffix("s") or word for word in _WORD.findall(text)}
    return " ".join(sorted(words)) or text


def near_hash(query: str) -> str:
    """The identity that near-duplicates share: 32 hex digits over the near form."""
    return _sha256(near_form(query))[:32]


def split_of(query: str) -> Split:
    """The part of the data set, by the near form alone, so that near-duplicates never straddle and
    a question stays where it is for ever."""
    return split_of_near_hash(near_hash(query))


def split_of_near_hash(near: str) -> Split:
    place = int(near[:8], 16) % 100
    if place >= _TEST_FROM:
        return "test"
    return "validation" if place >= _VALIDATION_FROM else "train"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
