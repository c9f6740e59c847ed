"""Greetings, thanks and signatures: what is said around a question and not of it. The classifier
and the identity of near-duplicates leave them out.

The lists are short and of the languages that most operators write in. What they do not know stays
in the text, and so does everything where nothing else would be left: "hello, thank you" is a
question too."""

import re

# What a pattern may look at, so that a long text costs no more than a short one.
_MAX_CHARACTERS = 1_200

_BREAK = r"[\s,;:.!?\u2026\-\u2013\u2014()]"
_SOMEBODY = (
    r"(?:there|all|team|everyone|everybody|folks|guys|support|sir|madam|ma'am|again|google|alexa"
    r"|zusammen|a todos|a todas|tout le monde|a tutti)"
)
_HELLO = (
    "hello|hi|hey|hiya|howdy|good (?:morning|afternoon|evening|day)"
    "|hallo|moin|servus|gruss gott|guten (?:morgen|tag|abend)"
    "|bonjour|bonsoir|salut"
    "|hola|buenos dias|buen dia|buenas(?: tardes| noches)?"
    "|ola|bom dia|boa tarde|boa noite|ciao|buongiorno|buonasera|goedemorgen|goedemiddag|hej"
)
_HOPE = (
    r"(?:i )?hope (?:you(?:'re| are)|this (?:e-?mail|message) finds you|all is|everything is)"
    r"(?: all)?(?: doing)?(?: well| fine| good| great| ok)+(?: today)?"
    r"|how are you(?: doing)?(?: today)?(?=[?!.,])"
    r"|ich hoffe,? (?:es geht (?:ihnen|dir|euch)|ihnen geht es) gut"
    r"|j'espere que (?:vous allez|tu vas) bien"
    r"|espero que (?:este|estes|esten) bien"
)
_TITLE = "dear|sehr geehrte[rs]?|liebe[rs]?|cher|chere|estimad[oa]s?|caro|cara|gentile|prezad[oa]s?"
_GREETING = re.compile(
    rf"{_BREAK}*(?:(?:{_HELLO})(?: {_SOMEBODY})*(?={_BREAK}|$)|(?:{_HOPE})(?={_BREAK}|$)"
    rf"|(?:{_TITLE})(?: [^\W\d_][^\s,:!]*){{1,4}} ?[,:!\n])"
)

_THANKS = (
    "(?:many |a thousand )?thanks|thank you|thankyou|thx|tysm|ty|much appreciated"
    "|i (?:would|'d) appreciate (?:it|your help)|thanking you"
    "|danke(?: schon| sehr)?|vielen dank|besten dank|herzlichen dank"
    "|merci(?: beaucoup| bien)?|(?:muchas |mil )?gracias"
    "|(?:molte |mille )?grazie|(?:muito )?obrigad[oa]"
    "|bedankt|dank je"
)
_MORE_THANKS = (
    r"so much|very much|a lot|a million|in advance|again|kindly|for (?:your|the|all your) "
    r"(?:help|time|support|assistance|attention)|(?:im|schon mal im) voraus|d'avance|par avance"
    r"|de antemano|por (?:su|tu) (?:ayuda|tiempo)|fur (?:ihre|deine|eure) (?:hilfe|muhe)"
    r"|pour votre aide|in anticipo|y(?= saludos)|and(?= best| kind)"
)
_REGARDS = (
    r"(?:with )?(?:best|kind|kindest|warm|warmest|many)? ?regards|best wishes|all the best|best"
    r"|cheers|(?:yours )?(?:sincerely|truly|faithfully)(?: yours)?|have a (?:nice|good|great) "
    r"(?:day|one|evening|weekend)"
    r"|mit (?:freundlichen|besten|lieben) grussen|mit freundlichem gruss"
    r"|(?:viele|liebe|beste|schone|freundliche) grusse|mfg|lg|vg"
    r"|(?:bien )?cordialement|cdlt|bien a vous|salutations|bonne journee"
    r"|(?:un )?saludos?(?: cordiales| cordial)?|atentamente|atte|cordiali saluti|distinti saluti"
    r"|atenciosamente"
)
# No character is of a word and between words, so that a search takes no longer than the text.
_NAME = r"(?:[ ,.!\n\-]+[^\s?!,.\-]+){0,12}[ .,!\n\-]*"
_SENT_FROM = re.compile(
    r"(?<![\s.,!\-])[\s.,!\-]*(?:sent from (?:my|outlook|yahoo|mail)|get outlook for|gesendet von|"
    r"von meinem \w+ gesendet|envoye de mon|enviado desde mi|inviato da)\b[^?]{0,60}$"
)
_DASHES = re.compile(r"\n-- ?\n[^?]{0,300}$")
_SIGNATURE = re.compile(rf"(?:[.!?,;\n\u2026)\-] ?|^)(?:{_REGARDS})(?={_BREAK}|$){_NAME}$")
_CLOSING = re.compile(
    r"(?<![\s.!?,;:\u2026\-()])(?P<mark>[\s.!?,;:\u2026\-()]+)"
    rf"(?:{_THANKS})(?:[ ,]{{1,3}}(?:{_MORE_THANKS}))*"
    rf"(?P<name>,? ?{_SOMEBODY})?[\s.!,]*$"
)
# "Thanks, Anna" needs the comma or the line.
_SIGNED_THANKS = re.compile(
    rf"[.!?,;\n\u2026)\-] ?(?:{_THANKS})(?: (?:{_MORE_THANKS}))*"
    r"[.!]? ?[,\n\-] ?\w+(?: \w+)?[\s.]*$"
)
_PLEASE = re.compile(
    r"(?<![\w'])(?:please|pls|plz|plss|bitte|por favor|s'il (?:vous|te) plait|svp|stp|per favore"
    r"|per piacere|alsjeblieft|alstublieft)(?![\w'])[,]?"
)
# After these words a courtesy is what the question is about.
_SAY = (
    "say|says|saying|said|tell|write|spell|translate|words?|phrase|means?"
    "|sagen|sagt|heisst|wort|schreibe?|ubersetze|dire|dit|mot|decir|dice|diga|palabra"
)
_QUOTED = r"[\s'\"\u2018\u201c,:]*$"
_ABOUT_PLEASE = re.compile(rf"(?:^|\W)(?:{_SAY}){_QUOTED}")
_ABOUT_THANKS = re.compile(
    rf"(?:^|\W)(?:{_SAY}|is|for|of|an?|the|them|him|her|my|send|with|to|and|i){_QUOTED}"
)
_WORD = re.compile(r"[^\W_]+")
# Each phrase above has one of these words.
_TRIGGERS = frozenset(
    (
        "hello hi hey hiya howdy good hallo moin servus gruss guten bonjour bonsoir salut"
        " hola buenos buen buenas ola bom boa ciao buongiorno buonasera goedemorgen"
        " goedemiddag hej hope how hoffe espere espero dear sehr liebe lieber liebes cher"
        " chere estimado estimada estimados estimadas caro cara gentile prezado prezada"
        " prezados prezadas thanks thank thankyou thanking thx tysm ty appreciate appreciated"
        " danke dank merci gracias grazie obrigado obrigada bedankt regards wishes best cheers"
        " sincerely truly faithfully have grussen grusse mfg lg vg cordialement cdlt bien"
        " salutations bonne saludo saludos atentamente atte cordiali distinti atenciosamente"
        " sent outlook gesendet von envoye enviado inviato please pls plz plss bitte favor"
        " plait svp stp favore piacere alsjeblieft alstublieft"
    ).split()
)
# So many words must be left; more where no punctuation sets the thanks apart ("oh sweet thanks").
_MIN_WORDS, _MIN_WORDS_RUN_ON = 2, 3


def without_courtesy(text: str) -> str:
    """The text without the courtesies around it, or the text itself where hardly a word would be
    left. `text` is folded: lower case, straight apostrophes, no accents; line ends are read."""
    if _TRIGGERS.isdisjoint(_WORD.findall(text)) and "\n--" not in text:
        return text
    if len(text) > _MAX_CHARACTERS:
        half = _MAX_CHARACTERS // 2
        return _opened(text[:half]) + text[half:-half] + _closed(text[-half:])
    return _asked(_closed(_opened(text)))


def _opened(text: str) -> str:
    at = 0
    while match := _GREETING.match(text, at):
        at = match.end()
    return _unless_short(text, text[at:], _MIN_WORDS)


def _closed(text: str) -> str:
    before = ""
    while text != before:
        before = text
        for pattern in (_DASHES, _SENT_FROM, _SIGNATURE, _SIGNED_THANKS):
            if match := pattern.search(text):
                text = _unless_short(text, text[: match.start()], _MIN_WORDS)
        match = _CLOSING.search(text)
        if match and match["mark"] and not _ABOUT_THANKS.search(text[: match.start()]):
            least = _MIN_WORDS_RUN_ON if match["mark"].isspace() else _MIN_WORDS
            text = _unless_short(text, text[: match.start()], least)
    return text


def _asked(text: str) -> str:
    """Without "please", wherever it is."""
    kept, at = [], 0
    for match in _PLEASE.finditer(text):
        if not _ABOUT_PLEASE.search(text[max(0, match.start() - 20) : match.start()]):
            kept.append(text[at : match.start()])
            at = match.end()
    return _unless_short(text, " ".join([*kept, text[at:]]), 1) if at else text


def _unless_short(text: str, rest: str, least: int) -> str:
    return rest if len(_WORD.findall(rest)) >= least else text
