"""The forms of a question that near-duplicates and similar questions share.

The near form is of questions that are the same but for how they are written: courtesies, "what's"
and "what is", "can you tell me", articles, plurals, some spelling. The order of the words stays:
"dog bites man" is not "man bites dog".

The similar form is coarser: the content words, whatever their order, vowels and endings. Questions
that share it need not be the same, but a test question of which training has seen the like shows
too good a figure, so both are put in one part.
"""

import re
import unicodedata
from functools import lru_cache

from edgeneuro.domain.canonical import canonical, without_joiners
from edgeneuro.domain.courtesy import without_courtesy

# One character may normalise to 18, so the limit of a query's text does not bound its forms.
_MAX_CHARACTERS = 8_000

_ACCENTS = re.compile("[\u0300-\u036f]")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_PART = re.compile(r"[^\W_]+")
_IRREGULAR = {
    "won't": "will not",
    "can't": "can not",
    "cannot": "can not",
    "cant": "can not",
    "dont": "do not",
    "doesnt": "does not",
    "didnt": "did not",
    "isnt": "not",
    "arent": "not",
    "wasnt": "was not",
    "couldnt": "could not",
    "wouldnt": "would not",
    "shouldnt": "should not",
    "im": "i",
    "ive": "i have",
    "wanna": "want to",
    "gonna": "going to",
    "gimme": "give me",
    "pls": "please",
}
# 's is "is" or a possessive; neither tells two questions apart.
_ENDINGS = (
    ("n't", " not"),
    ("'s", ""),
    ("'re", ""),
    ("'m", ""),
    ("'ll", " will"),
    ("'ve", " have"),
    ("'d", " would"),
)
_UNCOUNTED = frozenset({"a", "an", "the", "is", "are", "am", "be"})
# How a wish is put, at the beginning, after the words above are gone.
_FRAME = re.compile(
    "(?:(?:can|could|would|will) you (?:kindly )?"
    "|i (?:would )?(?:like|want|need) (?:for )?(?:you )?to "
    "|tell me |let me know |help me |go ahead and |i (?:trying|looking|going) to"
    " |(?:kannst|konnen|konntest|konnten) (?:du|sie) (?:mir |bitte )?|ich (?:will|mochte|muss) "
    "|(?:pouvez vous|peux tu|pourriez vous) (?:me )?|je (?:voudrais|veux) "
    "|(?:puedes|puede|podrias|podria) |(?:quiero|quisiera|necesito) )+"
)
# Without their s these are other words.
_NO_PLURALS = frozenset(
    {"news", "goods", "means", "arms", "glasses", "customs", "thanks", "lens", "works", "does"}
)
_DOUBLED = re.compile(r"([b-df-hj-np-tv-z])\1")
_MIN_SPELLED = 7  # letters; of shorter words too many are told apart by a doubled letter

_STOP_WORDS = frozenset(
    (
        "i me my we our you your it its he she they them their this that these those which do"
        " does did have has had will would can could should shall may might must to of in at"
        " by for with from and or if so as how about there here now just any some please want"
        " need like know tell give show let get help make us go was were been being than then"
        " too very also der die das den dem ein eine einen einem ich mir mein meine meinen du"
        " sie wir und oder ist sind war zu von mit fur auf im am bitte le la les un une des du"
        " de je me mon ma mes tu vous nous et ou est sont pour avec sur el los las una unos yo"
        " mi mis tu su y o es son para con por en que"
    ).split()
)
_VOWELS = frozenset("aeiouy")
_MIN_SKELETON = 4  # letters of a word whose vowels and order do not count


@lru_cache(maxsize=8)  # near-duplicates and similar questions are asked for one after the other
def near_form(query: str) -> str:
    """The words in order, as described above; the text itself where it has none. Only the first
    8,000 characters of the canonical text are read."""
    text = without_joiners(canonical(query)).casefold()[:_MAX_CHARACTERS]
    text = without_courtesy(_folded(text))
    words: list[str] = []
    for found in _WORD.findall(text):
        words += _PART.findall(_written_out(found))
    counted = [word for word in words if word not in _UNCOUNTED] or words
    line = " ".join(counted)
    asked = line[match.end() :] if (match := _FRAME.match(line)) else ""
    return " ".join(_stem(word) for word in (asked or line).split()) or text[:_MAX_CHARACTERS]


def similar_form(near: str) -> str:
    """The content words of a near form, sorted; all of its words where fewer than two are left."""
    words = near.split()
    content = [word for word in words if word not in _STOP_WORDS]
    return " ".join(sorted({_skeleton(word) for word in (content if len(content) > 1 else words)}))


def _folded(text: str) -> str:
    if text.isascii():
        return text
    text = _ACCENTS.sub("", unicodedata.normalize("NFD", text.replace("\u2019", "'")))
    return unicodedata.normalize("NFC", text)[:_MAX_CHARACTERS]


def _written_out(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if "'" in word:
        for ending, whole in _ENDINGS:
            if word.endswith(ending):
                return word.removesuffix(ending) + whole
    return word


@lru_cache(maxsize=1_024)  # few words make up most of all texts
def _stem(word: str) -> str:
    if len(word) > 3 and word.endswith("s") and word not in _NO_PLURALS:
        word = word if word.endswith(("ss", "us", "is")) else word[:-1]
    if len(word) >= _MIN_SPELLED:
        word = _DOUBLED.sub(r"\1", word)
    if word.endswith("our") and len(word) > 4:
        return word.removesuffix("our") + "or"
    if word.endswith("ise") and len(word) > 5:
        return word.removesuffix("ise") + "ize"
    return word


@lru_cache(maxsize=1_024)
def _skeleton(word: str) -> str:
    """The first letter and the other consonants, each once: most misspellings leave them."""
    if len(word) < _MIN_SKELETON or not word.isalpha() or not word.isascii():
        return word
    rest = "".join(sorted(set(word[1:]) - _VOWELS))
    return word[0] + rest if rest else word
