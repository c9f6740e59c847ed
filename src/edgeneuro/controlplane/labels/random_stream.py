"""The random stream of the label queue: questions in an order that neither callers nor the answers
have a part in. It is shown blind, and its labels alone measure accuracy."""

import hashlib
from math import ceil

from edgeneuro.store.database import Row, Rows

# Of a page of the queue so many are drawn at random: without them there is nothing to measure a
# classifier by.
RANDOM_SHARE = 0.1


def in_drawn_order(unsampled: Rows) -> list[Row]:
    """By a hash over the log row's id. The server makes its random part, so that no caller can
    write a question that is drawn, and the answer has no part in it."""
    return sorted(unsampled, key=_lot)


def blind_kinds(unsampled: Rows) -> set[str]:
    """The near hashes of the questions that are drawn next, a tenth of all: whoever labels them
    must not have seen the router's answer."""
    drawn = in_drawn_order(unsampled)
    return {row["near_hash"] for row in drawn[: ceil(RANDOM_SHARE * len(drawn))]}


def _lot(row: Row) -> bytes:
    return hashlib.sha256(row["id"].encode()).digest()
