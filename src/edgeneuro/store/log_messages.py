"""Messages of the queue LOG_QUEUE: entries of store/log_writes.py as JSON text."""

import json
from collections.abc import Iterator, Sequence

from edgeneuro import bounded_json
from edgeneuro.store.log_writes import KINDS, Entry
from edgeneuro.store.sql import compact_json

MAX_MESSAGE_BYTES = 120_000  # Queues takes 128,000, with some 100 of its own


def is_sendable(entry: Entry) -> bool:
    """Not what the next turn reads at once, and not SQL, which no message should hold."""
    return not entry["statements"] and all(kind != "session" for kind, _ in entry["additions"])


def messages_of(entries: Sequence[Entry]) -> Iterator[tuple[list[Entry], str | None]]:
    """The entries in messages that the queue takes; one that is too large has none."""
    part: list[Entry] = []
    texts: list[str] = []
    size = 0
    for entry in entries:
        text = _text(entry)
        length = len(text.encode()) + 1
        if length > MAX_MESSAGE_BYTES:
            yield [entry], None
            continue
        if size + length > MAX_MESSAGE_BYTES:
            yield part, f"[{','.join(texts)}]"
            part, texts, size = [], [], 0
        part.append(entry)
        texts.append(text)
        size += length
    if part:
        yield part, f"[{','.join(texts)}]"


def _text(entry: Entry) -> str:
    text = compact_json(entry)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, in the text of a model for example
        return json.dumps(entry, separators=(",", ":"))
    return text


def read_message(text: str) -> list[Entry]:
    """SQL that a text may hold is left out. Raises ValueError, TypeError or LookupError if the text
    is no message of rows."""
    found: list[Entry] = []
    for each in bounded_json.loads(text):
        row, additions = each["row"], [(kind, list(values)) for kind, values in each["additions"]]
        if not isinstance(row["id"], str) or not all(kind in KINDS for kind, _ in additions):
            raise TypeError("not the row of an answer and its additions")
        found.append(Entry(row=row, additions=additions, statements=[]))
    return found
