"""The forms of a query and their hashes: the canonical text, the same question, near-duplicates and
similar questions.

The canonical text is made once, when the question is made; the model, the classifier, the cache
keys, the log row, the label and the export all use it. Two texts that a person cannot tell apart
would otherwise be two questions to the model and one to the cache, so that the first caller would
decide for all others. Case is kept, because models read it."""

import hashlib
import re
import unicodedata
from functools import lru_cache
from typing import Literal

from edgeneuro.domain.courtesy import without_courtesy

# Characters without a shape of their own (Unicode's Default_Ignorable_Code_Point), and controls
# that are no white space. U+0000 is not here: it is refused.
_INVISIBLE = re.compile(
    "[\x01-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e001f\U000e0080-\U000e00ff"
    "\U000e01f0-\U000e0fff]"
)
# Tags spell a text that nobody sees. Only the flags of regions need them: a black flag, the
# region's letters, the end tag.
_TAGS = re.compile(
    "(\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f)"
    "|[\U000e0020-\U000e007f]"
)
_EMOJI = (
    "\u00a9\u00ae\u203c\u2049\u2190-\u23ff\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030\u303d"
    "\U0001f000-\U0001faff"
)
# Mongolian has selectors of its own, which choose the form of the letter before.
_SELECTORS = re.compile(
    f"(?<=[{_EMOJI}])[\ufe0e\ufe0f]|(?<=[0-9#*])\ufe0f(?=\u20e3)|(?<=[\u1820-\u18aa])[\u180b-\u180f]"
    "|([\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef])"
)
# Scripts in which a joiner between two letters changes the word: Arabic to Sinhala, Tibetan and
# Myanmar, Khmer and Mongolian, and the younger ones built alike.
_JOINING = (
    "\u0600-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u18aa\ua840-\ua87f\ua8e0-\ua8ff"
    "\U00011000-\U00011fff\U0001e900-\U0001e95f"
)
_JOINERS = re.compile("[\u200c\u200d]+")
_BEFORE_EMOJI = re.compile(f"[{_EMOJI}\ufe0f]")
_IS_EMOJI = re.compile(f"[{_EMOJI}]")
_IS_JOINING = re.compile(f"[{_JOINING}]")
_JOINERS_AND_SELECTORS = re.compile("[\u180b-\u180f\u200c\u200d\ufe00-\ufe0f\U000e0020-\U000e007f]")
_BLANK = "\u2800"  # the Braille pattern without dots
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_BLANKS = re.compile(r" [^\S\n]+|[^\S\n ][^\S\n]*")  # all but a single blank
_AROUND_LINE_ENDS = re.compile(" ?\n ?")
_EMPTY_LINES = re.compile("\n{3,}")


@lru_cache(maxsize=8)  # a text is checked, and then hashed in several forms
def canonical(text: str) -> str:
    """The text in Unicode's form NFKC, without invisible characters, its white space in order:
    lines end with a line feed, blanks are single, at most one empty line follows another.

    Joiners and selectors stay where an emoji or a script needs them. canonical(canonical(text)) is
    canonical(text)."""
    if text.isascii() and text.isprintable():  # most are: blanks are all that there is to put right
        return (_BLANKS.sub(" ", text) if "  " in text else text).strip()
    if not text.isascii():
        text = _without_invisible(unicodedata.normalize("NFKC", text))
        # Characters that an invisible one kept apart may now form one.
        text = unicodedata.normalize("NFKC", text).replace(_BLANK, " ")
    else:
        text = _INVISIBLE.sub("", text)
    text = _BLANKS.sub(" ", _LINE_ENDS.sub("\n", text))
    return _EMPTY_LINES.sub("\n\n", _AROUND_LINE_ENDS.sub("\n", text)).strip()


def whole_characters(text: str) -> str:
    """The text with both halves of a surrogate pair joined, and U+FFFD for a half that is alone. A
    stream may cut a character in two, and no database takes halves."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def without_joiners(text: str) -> str:
    """A canonical text without the invisible characters that emoji and scripts need."""
    return text if text.isascii() else _JOINERS_AND_SELECTORS.sub("", text)


def _without_invisible(text: str) -> str:
    text = _TAGS.sub(r"\1", _INVISIBLE.sub("", text))
    text = _SELECTORS.sub(lambda found: "" if found.group(1) else found.group(), text)
    return _JOINERS.sub(_needed_joiner, text)


def _needed_joiner(found: re.Match[str]) -> str:
    """The first of a run of joiners, if the characters beside it need one."""
    text, joiner = found.string, found.group()[0]
    before = text[max(0, found.start() - 1) : found.start()]
    after = text[found.end() : found.end() + 1]
    if _IS_JOINING.match(before) and _IS_JOINING.match(after):
        return joiner
    is_emoji = _BEFORE_EMOJI.match(before) and _IS_EMOJI.match(after)
    return joiner if is_emoji and joiner == "\u200d" else ""


# One character may normalise to 18, so the limit of a query's text does not bound its forms.
# The near form is the same for questions that differ only in how they are written: courtesies,
# "what's" and "what is", "can you tell me", articles, plurals, some spelling. The order of the
# words stays: "dog bites man" is not "man bites dog".
#
# The similar form is coarser: the content words, whatever their order, vowels and endings.
# Questions that share it need not be the same, but a test question is too easy if the training part
# has a similar one, so similar questions are in one part of the data set.

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
# 's is "is" or a possessive; neither makes two questions different.
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
_MIN_SPELLED = 7  # letters; too many shorter words differ only in a doubled letter

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
# Words of questions and wishes: they make two questions different, and say nothing of the subject.
_ASKING = frozenset(
    (
        "what what's which who whom whose where when why how it's i'm i'd i'll i've that's"
        " there's don't doesn't didn't isn't can't won't not no yes ok okay hi hello hey thanks"
        " thank up out on off over into also more much many lot really again still ever never"
        " possible able going looking trying would could should use using find take make made"
        " thing things something anything one way was wie wer wo wann warum nicht kein keine"
        " kann konnen qué que qui quoi comment quand pourquoi cómo como cuándo cuando dónde"
        " donde"
    ).split()
)
_VOWELS = frozenset("aeiouy")
_MIN_SKELETON = 4  # letters of a word whose vowels and order do not count


@lru_cache(maxsize=8)  # near-duplicates and similar questions are asked for one after the other
def near_form(query: str) -> str:
    """The words in order, as described above; the text itself where it has none. Only the first
    8,000 characters of the canonical text are read."""
    text = without_joiners(canonical(query)).casefold()[:_MAX_CHARACTERS]
    text = without_courtesy(folded(text))
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


def is_stop_word(word: str) -> bool:
    """Whether a word in small letters says nothing of the subject: the frequent ones of English,
    German, French and Spanish."""
    return word in _STOP_WORDS or word in _UNCOUNTED or word in _ASKING


def folded(text: str) -> str:
    """Without accents, with straight apostrophes; its first 8,000 characters."""
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


Split = Literal["train", "validation", "test"]


@lru_cache(maxsize=8)  # the hashes of one question are asked for one after the other
def normalise(query: str) -> str:
    """Queries that differ in case, spacing, Unicode form or invisible characters alone are the same
    question. Labels belong to questions: which agent is right does not depend on case, and one
    label holds for all spellings. Cached answers belong to the exact text that a model was sent."""
    return " ".join(without_joiners(canonical(query)).casefold().split())


def query_hash(query: str, context: str = "") -> str:
    """The identity of a question: 32 hex digits over its normalised form and the identity of its
    context (domain/conversation.py): "yes" is another question in every conversation."""
    return _sha256(_in_context(normalise(query), context))[:32]


def near_hash(query: str, context: str = "") -> str:
    """The identity that near-duplicates share: 32 hex digits over the near form and the context."""
    return _sha256(_in_context(near_form(query), context))[:32]


def similar_hash(query: str, context: str = "") -> str:
    """What questions with the same content words share, near-duplicates among them: 32 hex digits.
    They are in one part of the data set and in one fold."""
    return _sha256(_in_context(similar_form(near_form(query)), context))[:32]


def _in_context(form: str, context: str) -> str:
    # No form has a NUL.
    return f"{form}\0{context}" if context else form


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
