"""The pieces of a message that may be requests of their own: its sentences, and what stands between
the words that join requests."""

import re

MAX_PIECES = 12  # a message with more is a long text, not several requests
_MIN_WORDS = 3  # of a piece of a sentence: "laptops and phones" is one thing
# The end of a sentence, or of a line.
_SENTENCE_END = re.compile(r"(?<=[.!?;\u3002\uff01\uff1f])\s+|\n+")
_JOINING = re.compile(
    r"[,;]?\s+(?:and also|and then|and|also|plus|then|as well as"
    r"|und au\u00dferdem|und dann|und|au\u00dferdem|sowie"
    r"|et aussi|et puis|et|aussi|y tambi\u00e9n|y|tambi\u00e9n)\s+",
    re.IGNORECASE,
)
_AT_ITS_ENDS = " \t\n,;"


def split_message(text: str) -> list[tuple[int, int]]:
    """The pieces in order, each from and up to an index of the text; one piece if there is nothing
    to split, or too much."""
    pieces: list[tuple[int, int]] = []
    for start, end in _between(_SENTENCE_END, text, 0, len(text)):
        pieces += _clauses(text, start, end)
    if len(pieces) > MAX_PIECES:
        return [(0, len(text))]
    return [_trimmed(text, start, end) for start, end in pieces]


def _clauses(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """A short piece belongs to the one before it, and the first one to the next."""
    found: list[tuple[int, int]] = []
    for piece in _between(_JOINING, text, start, end):
        is_short = len(text[piece[0] : piece[1]].split()) < _MIN_WORDS
        before_is_short = found and len(text[found[-1][0] : found[-1][1]].split()) < _MIN_WORDS
        if found and (is_short or before_is_short):
            found[-1] = (found[-1][0], piece[1])
        else:
            found.append(piece)
    return found


def _between(separator: re.Pattern[str], text: str, start: int, end: int) -> list[tuple[int, int]]:
    found, at = [], start
    for match in separator.finditer(text, start, end):
        if match.start() > at:
            found.append((at, match.start()))
        at = match.end()
    if at < end:
        found.append((at, end))
    return found


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start] in _AT_ITS_ENDS:
        start += 1
    while end > start and text[end - 1] in _AT_ITS_ENDS:
        end -= 1
    return start, end
