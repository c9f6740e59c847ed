"""Texts as they are stored. Every text that a caller writes passes here before it is stored:
queries, labels, imports, notes, comments and the values beside them. Hashes of questions are over
the stored text.

If the settings say so, personal data is removed: e-mail addresses, phone numbers and payment card
numbers become [email], [card] and [phone]. A long number that is none of these may be removed too:
an intent does not depend on a number. Every pattern is bounded or reads a text once, so that the
time is linear in the length of the text."""

import re

from edgeneuro.domain.conversation import PreviousTurn, previous_text
from edgeneuro.domain.decision import MetadataValue
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.session import session_key

# Digits and signs of other scripts, read as ASCII: full width, Arabic, Persian, Devanagari.
_ASCII: dict[int, int | str] = {0xFF01 + at: 0x21 + at for at in range(94)}
_ASCII |= {zero + at: 0x30 + at for zero in (0x660, 0x6F0, 0x966) for at in range(10)}
# Every blank and every dash that Unicode has.
_ASCII |= dict.fromkeys((0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000), " ")
_ASCII |= dict.fromkeys((0xB, 0xC, 0x85, 0x2028, 0x2029), "\n")
_ASCII |= dict.fromkeys(
    (
        *(0x58A, 0x5BE, 0x1400, 0x1806, *range(0x2010, 0x2016), 0x2043, 0x2212, 0x2E17, 0x2E1A),
        *(0x2E3A, 0x2E3B, 0x2E40, 0x2E5D, 0x301C, 0x3030, 0x30A0, 0xFE31, 0xFE32, 0xFE58, 0xFE63),
        *(0xFF0D, 0x10D6E, 0x10EAD),
    ),
    "-",
)
# A local part starts where none went before, so each run of its characters is read once.
_LOCAL = r"[\w.!#$%&'*+^`{|}~-]"
_EMAIL = re.compile(rf"(?<!{_LOCAL}){_LOCAL}++@(?:[\w-]{{1,63}}\.){{1,8}}[^\W\d_]{{2,63}}")
# Digits in groups, with up to three separators between.
_DIGIT_GROUPS = re.compile(r"(?<!\d)\d++(?:[\s./-]{1,3}+\d++)*+")
# After these a long group of digits is a decimal's: no card number starts there.
_DECIMAL = re.compile(r"\d[.,]")
_GROUP = re.compile(r"\d+")
# How numbers of the payment networks start. It spares years, times in milliseconds and most ids.
_CARD_START = re.compile(r"2131|2[2-7]|[345689]")
_CARD_DIGITS = range(13, 20)
_FIRST_GROUP, _LATER_GROUPS = 4, range(3, 8)  # digits, where the number is written in groups

_GAP = r"[\s()/.-]{0,3}"
_NATIONAL_GAP = r"[\s()/-]{0,3}"
_PHONE = re.compile(
    rf"""
    (?<![\w#]) (?<!\w-) (?<!\d[.,/])
    (?:
        \+ {_GAP} [1-9] (?:{_GAP}\d){{7,14}}                   # +49 (0)30 1234567
      | 00 [1-9] (?:{_GAP}\d){{8,12}}                          # 0049 30 1234567
      | (?!\d{{1,2}}[/-]\d{{1,2}}[/-]\d{{2}})                  # no date
        \(? 0[1-9] (?:{_NATIONAL_GAP}\d){{7,10}}               # (030) 1234567
      | 0[1-9] (?:\.\d\d){{4}}                                 # 01.23.45.67.89
      | (?:1[\s./-]{{1,3}})? \(? [2-9]\d\d [\s)./-]{{1,3}}
        \d{{3}} [\s./-]{{1,3}} \d{{4}}                        # (415) 555-0123
      | 1?[2-9]\d{{9}}                                         # 4155550123
    )
    (?!\w) (?![.,-]\d)
    """,
    re.VERBOSE | re.ASCII,
)


def redact(text: str) -> str:
    """A text in which nothing is found comes back as it is."""
    plain = text.translate(_ASCII)
    without = _EMAIL.sub("[email]", plain)
    without = _DIGIT_GROUPS.sub(_without_cards, without)
    without = _PHONE.sub("[phone]", without)
    return text if without == plain else without


def _without_cards(found: re.Match[str]) -> str:
    run = found.group()
    groups = list(_GROUP.finditer(run))
    kept: list[str] = []
    done = at = 0
    while at < len(groups):
        start = groups[at].start()
        in_groups = len(groups[at].group()) == _FIRST_GROUP
        place = found.start() + start
        decimal = _DECIMAL.fullmatch(found.string, max(0, place - 2), place) and not in_groups
        end = None if decimal else _card_end(groups, at)
        if end is None:
            at += 1
            continue
        kept += [run[done:start], "[card]"]
        done, at = groups[end - 1].end(), end
    return "".join(kept) + run[done:]


def _card_end(groups: list[re.Match[str]], start: int) -> int | None:
    """Behind the last group of the longest card number that starts here."""
    if _CARD_START.match(groups[start].group()) is None:
        return None
    digits, found = "", None
    for at in range(start, len(groups)):
        group = groups[at].group()
        if at > start and len(group) not in _LATER_GROUPS:
            break
        digits += group
        if len(digits) in _CARD_DIGITS and _luhn(digits):
            found = at + 1
        if (at == start and len(group) != _FIRST_GROUP) or len(digits) >= _CARD_DIGITS.stop:
            break
    return found


def _luhn(digits: str) -> bool:
    values = [int(digit) for digit in reversed(digits)]
    doubled = [sum(divmod(2 * value, 10)) for value in values[1::2]]
    return (sum(values[::2]) + sum(doubled)) % 10 == 0


def stored_text(config: RoutingConfig, text: str) -> str:
    """The text as it may be stored. Equal texts have equal results, so a question keeps its
    identity."""
    return redact(text) if config.redact_personal_data else text


def gateway_session(config: RoutingConfig, session: str | None) -> str | None:
    """The session as AI Gateway may have it: as log rows have it, and not at all while texts are
    not stored. A header holds ASCII alone, so any other text becomes a hash."""
    if session is None or not config.log_queries:
        return None
    text = stored_text(config, session)
    if text.isascii() and text.isprintable() and text == text.strip():
        return text
    return session_key(text)


def stored_context(config: RoutingConfig, previous: PreviousTurn) -> PreviousTurn:
    """A text that removing personal data has made longer is cut again, so that what is stored can
    be sent as a context: by an evaluation, or with an import."""
    if not config.redact_personal_data:
        return previous
    user, assistant = (
        text and previous_text(redact(text)) for text in (previous.user, previous.assistant)
    )
    return PreviousTurn(previous.agent, user, assistant)


def stored_metadata(
    config: RoutingConfig, metadata: dict[str, MetadataValue]
) -> dict[str, MetadataValue]:
    return {stored_text(config, name): _value(config, value) for name, value in metadata.items()}


def _value(config: RoutingConfig, value: MetadataValue) -> MetadataValue:
    """A number becomes a text only if it is a phone or card number."""
    if isinstance(value, bool):
        return value
    text = str(value)
    stored = stored_text(config, text)
    return value if stored == text else stored
