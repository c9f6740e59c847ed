"""The columns `context`: the turn before a message, as a JSON object with the names of the API;
null if nothing is known of it."""

import json
from dataclasses import dataclass

from edgeneuro.domain.conversation import NOTHING_BEFORE, PreviousTurn
from edgeneuro.store.database import Row


def context_json(previous: PreviousTurn) -> str | None:
    shown = previous.shown()
    return None if shown is None else shown.model_dump_json(exclude_none=True)


def context_from_json(stored: str | None) -> PreviousTurn:
    """As it was stored, unchecked: the hashes beside it are over these very texts."""
    if stored is None:
        return NOTHING_BEFORE
    fields = json.loads(stored) or {}  # a routing test may have a null
    return PreviousTurn(
        fields.get("previous_agent"),
        fields.get("previous_user"),
        fields.get("previous_assistant"),
    )


@dataclass(frozen=True, slots=True)
class StoredQuestion:
    """A message and the turn before it, as they were stored."""

    query: str
    previous: PreviousTurn = NOTHING_BEFORE


def question_from_row(row: Row) -> StoredQuestion:
    """Of a row with the columns `query` and `context`."""
    return StoredQuestion(row["query"], context_from_json(row["context"]))
