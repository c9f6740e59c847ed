"""Word pieces: a text is split into words, and each word into the longest pieces that a vocabulary
has, from the left (WordPiece). Texts are normalised as the uncased BERT tokenizer does, whose
vocabulary comes with the word vectors."""

import re
import unicodedata
from collections.abc import Iterable, Iterator

UNKNOWN = "[UNK]"
_CONTINUES = "##"  # begins a piece that is not the beginning of its word
_MAX_CHARACTERS = 100  # of a word; a longer one is unknown
_SPECIAL = re.compile(r"\[(?:PAD|UNK|CLS|SEP|MASK)\]")  # never text
_ASCII_WORDS = re.compile(r"[0-9a-z]+|[!-/:-@\[-`{-~]")
_CHINESE = re.compile(
    "([\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002b73f"
    "\U0002b740-\U0002b81f\U0002b820-\U0002ceaf\U0002f800-\U0002fa1f])"
)
_REMOVED = frozenset(("Cc", "Cf", "Co"))  # control, format and private use
_ASCII_PUNCTUATION = frozenset(r"""!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~""")


class WordPieces:
    """The pieces of words, by the vocabulary: a piece's number is its place there."""

    def __init__(self, vocabulary: Iterable[str]) -> None:
        self._numbers = {
            piece: number
            for number, piece in enumerate(vocabulary)
            if not _SPECIAL.fullmatch(piece)
        }

    def __len__(self) -> int:
        return len(self._numbers)

    def of_word(self, word: str) -> list[int]:
        """Greedy longest match first; none if some part of the word is no piece."""
        whole = self._numbers.get(word)
        if whole is not None:
            return [whole]
        if len(word) > _MAX_CHARACTERS:
            return []
        numbers, found, start = self._numbers, [], 0
        while start < len(word):
            begins = _CONTINUES if start else ""
            for end in range(len(word), start, -1):
                number = numbers.get(begins + word[start:end])
                if number is not None:
                    break
            else:
                return []
            found.append(number)
            start = end
        return found


def words(text: str) -> list[str]:
    """The words of a text, each mark of punctuation alone; in lower case, without accents."""
    if text.isascii():
        return _ASCII_WORDS.findall(text.lower())
    text = "".join(_cleaned(text))
    text = _CHINESE.sub(r" \1 ", text)
    text = unicodedata.normalize("NFD", text)
    text = "".join([each for each in text if unicodedata.category(each) != "Mn"])
    found: list[str] = []
    for word in text.lower().split():
        start = 0
        for at, character in enumerate(word):
            if _is_punctuation(character):
                found += [word[start:at], character]
                start = at + 1
        found.append(word[start:])
    return [word for word in found if word]


def _cleaned(text: str) -> Iterator[str]:
    for character in text:
        if character.isspace():
            yield " "
        elif character != "\ufffd" and unicodedata.category(character) not in _REMOVED:
            yield character


def _is_punctuation(character: str) -> bool:
    return character in _ASCII_PUNCTUATION or unicodedata.category(character).startswith("P")
