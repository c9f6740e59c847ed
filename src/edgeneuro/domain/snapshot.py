"""Which labels something was made of, so that two of them can be told to be of the same data."""

import hashlib
from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel

from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.fields import Matches

Sha256 = Annotated[str, Matches(r"[0-9a-f]{64}", "must be a SHA-256 in 64 small hex digits")]


class DataSnapshot(BaseModel):
    """The number of labels, the id of the newest label in force (null if it is not known), and a
    SHA-256 over one "<query_hash> <agent>" and a newline for each, sorted, with "none" if no agent
    fits. Null until the labels have been read."""

    labels: int | None
    newest_label_id: str | None
    sha256: str | None


def label_line(query_hash: str, agent_id: str | None) -> str:
    return f"{query_hash} {agent_id or NO_AGENT}\n"


def label_set_sha256(lines: Iterable[str]) -> str:
    """Of lines in any order."""
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
