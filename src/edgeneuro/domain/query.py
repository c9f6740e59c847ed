"""Queries as identities: which are the same question, and which nearly the same."""

import hashlib
import re
from typing import Literal

from edgeneuro.domain.canonical import canonical, without_joiners

Split = Literal["train", "validation", "test"]

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


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
