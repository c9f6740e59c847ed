"""Slices: the groups of questions by which the results of an evaluation are shown. Pure."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

# The language of a question is guessed from its script and its most frequent words. That is good
# enough for counts, and used for nothing else.
UNKNOWN = "unknown"
_WORD = re.compile(r"[^\W\d_]+")
_MAX_CHARACTERS = 400
# Words that are frequent in one language; those that several share count for each of them.
_STOP_WORDS = {
    "en": "the is are i my a to of and how do what can not it you in for on with me please have"
    " when where why who does did was an your this that we need",
    "de": "der die das ist sind ich mein meine ein eine zu und wie was kann nicht es du sie in"
    " für auf mit mir bitte habe wann wo warum wer den dem von wir brauche",
    "fr": "le la les est sont je mon ma mes un une de et comment que quoi puis pas il vous dans"
    " pour sur avec moi ai quand où pourquoi qui des du ne nous besoin",
    "es": "el la los las es son yo mi mis un una de y cómo como qué que puedo no lo usted en para"
    " por con me tengo cuándo dónde quién del se necesito",
    "it": "il lo la gli le è sono io mio mia un una di e come che cosa posso non si in per su con"
    " mi ho quando dove perché chi del della",
    "pt": "o a os as é são eu meu minha um uma de e como que posso não você em para por com me"
    " tenho quando onde quem do da preciso",
    "nl": "de het is zijn ik mijn een te en hoe wat kan niet je u in voor op met mij heb wanneer"
    " waar waarom wie van wij graag",
}
_LANGUAGES_OF = {
    word: {name for name, words in _STOP_WORDS.items() if word in words.split()}
    for words in _STOP_WORDS.values()
    for word in words.split()
}
# The first word of a letter's Unicode name; Latin letters leave it to the words.
_SCRIPTS = {
    "CJK": "zh",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "CYRILLIC": "cyrillic",
    "ARABIC": "arabic",
    "HEBREW": "hebrew",
    "GREEK": "el",
    "DEVANAGARI": "devanagari",
    "THAI": "th",
}


def guess_language(text: str) -> str:
    """A code of ISO 639-1 where the script or the words say it, the name of a script that several
    languages share, else "unknown"."""
    text = text[:_MAX_CHARACTERS]
    scripts: dict[str, int] = {}
    letters = 0
    for character in text:
        if character.isalpha():
            letters += 1
            if character > "\u024f":  # beyond Latin
                script = _SCRIPTS.get(
                    unicodedata.name(character, "").split(" ", 1)[0].split("-")[0]
                )
                if script is not None:
                    scripts[script] = scripts.get(script, 0) + 1
    if scripts.get("ja") and sum(scripts.values()) * 2 > letters:
        return "ja"  # Chinese has no kana
    if scripts:
        most = max(scripts, key=lambda name: scripts[name])
        if scripts[most] * 2 > letters:
            return most
    return _by_words(text)


def _by_words(text: str) -> str:
    counts: dict[str, int] = {}
    for word in _WORD.findall(text.lower()):
        for language in _LANGUAGES_OF.get(word, ()):
            counts[language] = counts.get(language, 0) + 1
    if not counts:
        return UNKNOWN
    first, *rest = sorted(counts, key=lambda name: (-counts[name], name))
    return UNKNOWN if rest and counts[rest[0]] == counts[first] else first


_LANGUAGE_KEYS = ("language", "lang", "locale")
# Characters; a bound belongs to the shorter ones.
_LENGTHS = ((20, "1-20"), (60, "21-60"), (200, "61-200"))
_LAST_LENGTH = "over 200"
MAX_KEYS, MAX_VALUES, MIN_QUESTIONS = 8, 20, 5
_MAX_VALUE_CHARACTERS = 64


class Slice(NamedTuple):
    """`by` is language, length, session, or `metadata.KEY`."""

    by: str
    value: str


class SlicedQuestion(NamedTuple):
    """`turn` is its place in its session, "first" or "later"; None where it is not known to be in
    one."""

    query: str
    turn: str | None
    metadata: Mapping[str, Any]


def slices_of(questions: Sequence[SlicedQuestion]) -> list[list[Slice]]:
    """The slices of each question. Of the metadata only values that at least 5 questions share: 20
    of each key, of the 8 keys that most questions have."""
    of_metadata = [_metadata_slices(each.metadata) for each in questions]
    kept = _frequent(Counter(each for found in of_metadata for each in found))
    return [
        [
            Slice("language", _language(question)),
            Slice("length", _length(question.query)),
            Slice("session", question.turn or "none"),
            *(each for each in found if each in kept),
        ]
        for question, found in zip(questions, of_metadata, strict=True)
    ]


def _language(question: SlicedQuestion) -> str:
    """What the metadata say, else a guess."""
    for key in _LANGUAGE_KEYS:
        stated = question.metadata.get(key)
        if isinstance(stated, str) and stated:
            return stated.lower().replace("_", "-").split("-")[0][:_MAX_VALUE_CHARACTERS]
    return guess_language(question.query)


def _length(query: str) -> str:
    return next((name for most, name in _LENGTHS if len(query) <= most), _LAST_LENGTH)


def _metadata_slices(metadata: Mapping[str, Any]) -> list[Slice]:
    found = []
    for key, value in metadata.items():
        if isinstance(value, bool):
            value = str(value).lower()
        if key not in _LANGUAGE_KEYS and len(str(value)) <= _MAX_VALUE_CHARACTERS:
            found.append(Slice(f"metadata.{key}", str(value)))
    return found


def _frequent(counts: Counter[Slice]) -> set[Slice]:
    by_key: dict[str, list[Slice]] = {}
    for each in sorted(counts, key=lambda one: (-counts[one], one)):
        if counts[each] >= MIN_QUESTIONS:
            by_key.setdefault(each.by, []).append(each)
    sums = {key: sum(counts[each] for each in found) for key, found in by_key.items()}
    keys = sorted(by_key, key=lambda key: (-sums[key], key))[:MAX_KEYS]
    return {each for key in keys for each in by_key[key][:MAX_VALUES]}
