"""Queries as identities: which are the same question, and which nearly the same."""

import hashlib
from functools import lru_cache
from typing import Literal

from edgeneuro.domain.canonical import canonical, without_joiners
from edgeneuro.domain.near import near_form, similar_form

Split = Literal["train", "validation", "test"]


@lru_cache(maxsize=8)  # the hashes of one question are asked for one after the other
def normalise(query: str) -> str:
    """Queries that differ in case, spacing, Unicode form or invisible characters alone are the same
    question. Labels belong to questions: which agent is right does not depend on case, and one
    label holds for all spellings. Cached answers belong to the exact text that a model was sent."""
    return " ".join(without_joiners(canonical(query)).casefold().split())


def query_hash(query: str) -> str:
    """The identity of a question: 32 hex digits over its normalised form."""
    return _sha256(normalise(query))[:32]


def near_hash(query: str) -> str:
    """The identity that near-duplicates share: 32 hex digits over the near form."""
    return _sha256(near_form(query))[:32]


def similar_hash(query: str) -> str:
    """What questions with the same content words share, near-duplicates among them: 32 hex digits.
    They are in one part of the data set and in one fold."""
    return _sha256(similar_form(near_form(query)))[:32]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
