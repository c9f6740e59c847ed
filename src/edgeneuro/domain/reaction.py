"""What a message says of the answer before it: the person wants a human, or says thanks.

The lists are short and of the languages that most operators write in. Only short messages are
looked at: a long one is a question of its own, whatever words it has. "Human resources" is no wish
for a human, and "no thanks" is no praise."""

import re
from typing import Literal

from edgeneuro.domain.query import canonical, folded

Reaction = Literal["human_wanted", "thanks"]
_MAX_CHARACTERS = 160
_MAX_THANKS_WORDS = 12

# No pattern repeats a part that repeats itself, so a search takes no longer than the text.
_SOMEBODY = (
    r"(?:(?:a|an|some) )?(?:(?:real|live|actual|human) )?"
    r"(?:human(?! resource)(?: being)?|person|representative|rep|operator|somebody real"
    r"|someone real|live agent|human agent)"
)
_WANTED = re.compile(
    r"(?<!\w)(?:"
    # English
    rf"(?:speak|talk|chat)(?: directly)? (?:to|with) {_SOMEBODY}"
    rf"|(?:connect|transfer|put|pass) me (?:through )?(?:to|with|on to) {_SOMEBODY}"
    rf"|(?:get|give|find) me {_SOMEBODY}"
    r"|(?:i (?:want|need|would like)|i'd like|can i (?:have|get)) (?:a |an )?(?:real |live )?"
    r"(?:human(?! resource)|person to (?:talk|speak)|live agent|human agent)"
    # German
    r"|(?:mit )?(?:einem|einer|einen|eine) (?:echten |echte |richtigen |richtige )?"
    r"(?:menschen|mitarbeiter|mitarbeiterin|person|berater|beraterin) (?:sprechen|reden|verbinden"
    r"|verbunden|chatten|bitte)"
    r"|echte[nrs]? (?:mensch|menschen|person|mitarbeiter)"
    # French
    r"|parler (?:a|avec) (?:un |une |quelqu'un de )?(?:vrai |vraie )?"
    r"(?:humain|personne|conseiller|conseillere|operateur|reel)"
    # Spanish, Portuguese, Italian
    r"|hablar con (?:un |una |alguna )?(?:humano|persona|agente humano|operador|operadora|asesor)"
    r"|falar com (?:um |uma )?(?:humano|pessoa|atendente|operador|operadora)"
    r"|parlare con (?:un |una |un')?(?:umano|persona|operatore|operatrice|essere umano)"
    # Dutch, Polish
    r"|(?:met )?een (?:echt |echte )?(?:mens|medewerker|persoon) (?:spreken|praten|chatten)"
    r"|rozmawiac z (?:czlowiekiem|konsultantem|pracownikiem)"
    r")(?!\w)"
    # Chinese, Japanese, Korean write no blanks between words.
    r"|转人工|人工客服|真人客服|轉人工"
    r"|人間と話|オペレーターに|担当者に(?:つな|繋)"
    r"|상담원 ?연결|사람과 (?:이야기|상담)"
)
# The whole message, without punctuation and "please".
_WANTED_ALONE = frozenset(
    (
        "human|a human|real human|a real human|human agent|a human agent|real person|a real person"
        "|live agent|a live agent|representative|a representative|operator|an operator|agent"
        "|speak to someone|talk to someone|mensch|ein mensch|einen menschen|mitarbeiter"
        "|einen mitarbeiter|un humain|une personne|un conseiller|un humano|una persona|un operador"
        "|um humano|uma pessoa|um atendente|un umano|un operatore|een mens|een medewerker"
        "|人工|真人|オペレーター|상담원"
    ).split("|")
)
_COURTESY = frozenset(
    (
        "please pls plz now bitte jetzt svp stp por favor per favore alsjeblieft alstublieft"
        " prosze s'il vous te plait"
    ).split()
)
_THANKS = re.compile(
    r"(?<!\w)(?:thanks|thank you|thankyou|thx|tysm|ty|cheers|danke|dankeschon|dank|merci|gracias"
    r"|grazie|obrigado|obrigada|bedankt|dank je|dankjewel|dziekuje|dzieki|tesekkurler|spasibo"
    r"|спасибо)(?!\w)|谢谢|謝謝|ありがとう|감사합니다|고마워"
)
# Words that a message of thanks has beside them. Any other word, such as "no", "but" or "not",
# makes it something else.
_AROUND_THANKS = frozenset(
    (
        "thanks thank you thankyou thx tysm ty cheers many so very much a lot million again for"
        " your the this that it help helped helping time support answer quick fast perfect great"
        " good awesome excellent amazing super cool nice ok okay yes yep got is was works worked"
        " all i appreciate appreciated really just what needed wonderful fantastic brilliant me"
        " danke dankeschon vielen dank besten herzlichen schon sehr fur die hilfe ihre deine eure"
        " schnelle antwort gut toll prima klasse alles klar ja hat geholfen das mir"
        " merci beaucoup bien pour votre aide parfait super genial oui c'est"
        " muchas mil gracias por su tu ayuda perfecto genial muy bien si grazie mille molte per"
        " l'aiuto perfetto muito obrigado obrigada pela ajuda perfeito bedankt dank je dankjewel"
        " wel voor hulp top dziekuje bardzo dzieki za pomoc cok tesekkurler bolshoe spasibo"
        " большое спасибо"
    ).split()
)
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def reaction_of(message: str) -> Reaction | None:
    """What the message says of the answer before it; None if it says neither."""
    if len(message) > _MAX_CHARACTERS:
        return None
    text = folded(canonical(message).casefold())
    words = _WORD.findall(text)
    asked = " ".join(word for word in words if word not in _COURTESY)
    if asked in _WANTED_ALONE or _WANTED.search(" ".join(words)):
        return "human_wanted"
    if len(words) > _MAX_THANKS_WORDS or not _THANKS.search(text):
        return None
    praise = all(word in _AROUND_THANKS for word in words) or _unspaced(words)
    return "thanks" if praise else None


def _unspaced(words: list[str]) -> bool:
    """One short word of a script that writes no blanks: it may have an ending after the thanks."""
    return len(words) == 1 and not words[0].isascii() and len(words[0]) <= 12
