"""The canonical text of a question. It is made once, when the question is made; the model, the
classifier, the cache keys, the log row, the label and the export all use this one text.

Two texts that a person cannot tell apart would otherwise be two questions to the model and one to
the cache, so that whoever asks first decides for all others. Case is kept: models read it."""

import re
import unicodedata
from functools import lru_cache

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
    if not text.isascii():
        text = _without_invisible(unicodedata.normalize("NFKC", text))
        # Characters that an invisible one kept apart may now form one.
        text = unicodedata.normalize("NFKC", text).replace(_BLANK, " ")
    else:
        text = _INVISIBLE.sub("", text)
    text = _BLANKS.sub(" ", _LINE_ENDS.sub("\n", text))
    return _EMPTY_LINES.sub("\n\n", _AROUND_LINE_ENDS.sub("\n", text)).strip()


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
