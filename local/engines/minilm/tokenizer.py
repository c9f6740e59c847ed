"""BERT's uncased WordPiece: words and punctuation, then the longest known pieces of each word."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping

MAX_TOKENS = 256  # what the model was trained with; a longer text is cut
_MAX_WORD = 100  # characters; a longer word is unknown
_UNKNOWN, _START, _END = "[UNK]", "[CLS]", "[SEP]"
_CJK = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


class Tokenizer:
    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        self._ids = vocabulary

    def encode(self, text: str) -> list[int]:
        """The ids of the pieces between the marks of start and end, at most MAX_TOKENS."""
        ids = [self._ids[_START]]
        for word in _words(text):
            ids += self._pieces(word)
            if len(ids) >= MAX_TOKENS:
                break
        return [*ids[: MAX_TOKENS - 1], self._ids[_END]]

    def _pieces(self, word: str) -> list[int]:
        if len(word) > _MAX_WORD:
            return [self._ids[_UNKNOWN]]
        found: list[int] = []
        start = 0
        while start < len(word):
            mark = "##" if start else ""
            for end in range(len(word), start, -1):
                piece = self._ids.get(mark + word[start:end])
                if piece is not None:
                    break
            else:
                return [self._ids[_UNKNOWN]]
            found.append(piece)
            start = end
        return found


def _words(text: str) -> Iterator[str]:
    word = ""
    for character in unicodedata.normalize("NFD", text.lower()):
        category = unicodedata.category(character)
        if category == "Mn" or character in "\0\ufffd":
            continue
        if character.isspace():
            if word:
                yield word
            word = ""
        elif category.startswith("C"):
            continue
        elif _stands_alone(character, category):
            if word:
                yield word
            yield character
            word = ""
        else:
            word += character
    if word:
        yield word


def _stands_alone(character: str, category: str) -> bool:
    """Punctuation, ASCII's signs among it, and the characters of languages without spaces."""
    code = ord(character)
    if category.startswith("P") or (code < 128 and not character.isalnum()):
        return True
    return any(low <= code <= high for low, high in _CJK)
