"""The features of a query: hashed words, pairs of words and runs of characters, and what vectors.py
makes word vectors of. Training and serving share this code; a change of the buckets or the vector
of any text must raise the versions."""

import re
import unicodedata
from zlib import crc32

from edgeneuro.domain.courtesy import without_courtesy

FEATURES_VERSION = 3
BUCKETS_VERSION = 2  # of a model without word vectors: the buckets are those of version 2
BUCKETS = 1 << 13
BIAS = BUCKETS  # active in every text, the empty one too
ROWS = BUCKETS + 1

# Of a longer text only the beginning and the end count: there people say what they want.
HEAD, TAIL = 700, 300
_MAX_CHARACTERS = HEAD + TAIL

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]")
_ACCENTS = re.compile("[\u0300-\u036f]")
# Scripts that write no spaces, and emoji: each character is a word, so that pairs of words are
# pairs of characters.
_ALONE = re.compile(
    "[\u0e00-\u0eff\u2600-\u27bf\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U0001f000-\U0003ffff]"
)
# Everything in common texts but letters, digits, marks and emoji.
_BREAKS = re.compile(
    "['\u2019](?=\\s|$)|[\\s!-&(-/:-@\\[-`{-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7"
    "\u2000-\u2018\u201a-\u206f\u20a0-\u20bf\u2190-\u25ff\u2e00-\u2e7f\u3000-\u303f]+"
)
_APOSTROPHE = str.maketrans("\u2019", "'")
_DIGITS = re.compile(r"\d")
_BYTES = 4  # a character in UTF-32
_RUNS = (3 * _BYTES, 4 * _BYTES)
_PAIR, _RUN = 0x9E3779B9, 0x85EBCA6B  # keep the three kinds apart
_START, _END = crc32(b"^"), b"$"
_MASK = BUCKETS - 1


def features(query: str) -> list[int]:
    """The active buckets of a query, sorted, each once; BIAS is the last one."""
    return buckets(plain(query))


def buckets(text: str) -> list[int]:
    """The active buckets of a plain text (`plain`)."""
    words = _words(text)
    found: set[int] = set()
    before = _START
    for word in words:
        code = word.encode("utf-8", "surrogatepass")
        hashed = crc32(code)
        found.add(hashed & _MASK)
        found.add(crc32(code, before ^ _PAIR) & _MASK)
        before = hashed
    if words:
        found.add(crc32(_END, before ^ _PAIR) & _MASK)
        runs = f" {' '.join(words)} ".encode("utf-32-le", "surrogatepass")
        for size in _RUNS:
            stop = len(runs) - size + 1
            found.update(
                [crc32(runs[at : at + size], _RUN) & _MASK for at in range(0, stop, _BYTES)]
            )
    return [*sorted(found), BIAS]


def plain(query: str) -> str:
    """The text in lower case, without accents and invisible characters, without greetings, thanks
    and signatures, unless almost nothing else remains; of a long one the beginning and the end."""
    text = unicodedata.normalize("NFKC", _bounded(query)).casefold()
    text = "\n".join([" ".join(line.split()) for line in text.split("\n")])
    if not text.isascii():
        text = _INVISIBLE.sub("", text).translate(_APOSTROPHE)
        # A code point may unfold into many.
        text = _bounded(_ACCENTS.sub("", unicodedata.normalize("NFD", text)))
        text = _ALONE.sub(r" \g<0> ", unicodedata.normalize("NFC", text))
    return without_courtesy(text)


def tokens(query: str) -> list[str]:
    """The words of the plain text, without punctuation, every digit a 0."""
    return _words(plain(query))


def _words(text: str) -> list[str]:
    return _BREAKS.sub(" ", _DIGITS.sub("0", text)).split()


def _bounded(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:HEAD]} {text[-TAIL:]}"
