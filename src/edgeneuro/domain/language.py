"""The language of a question, guessed from its script and its most frequent words: enough to count
by, no more. Pure."""

import re
import unicodedata

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
