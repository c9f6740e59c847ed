"""Personal data out of a text before it is stored: e-mail addresses, phone numbers and payment card
numbers become [email], [card] and [phone].

It rather takes a long number too many than one too few: an intent does not hang on a number. Every
pattern is bounded or goes over a text once, so that time grows no faster than the text."""

import re

# Digits and signs of other scripts, read as ASCII: full width, Arabic, Persian, Devanagari, dashes.
_ASCII = {0xFF01 + at: 0x21 + at for at in range(94)} | dict.fromkeys(range(0x2010, 0x2016), "-")
_ASCII |= {zero + at: 0x30 + at for zero in (0x660, 0x6F0, 0x966) for at in range(10)}
_ASCII |= {0x3000: " ", 0xA0: " "}
# A local part starts where none went before, so each run of its characters is read once.
_LOCAL = r"[\w.!#$%&'*+^`{|}~-]"
_EMAIL = re.compile(rf"(?<!{_LOCAL}){_LOCAL}++@(?:[\w-]{{1,63}}\.){{1,8}}[^\W\d_]{{2,63}}")
# Digits in groups with a blank or a hyphen between; not a decimal's, not a part of a longer word.
_DIGIT_GROUPS = re.compile(r"(?<!\d)(?<!\d[.,])\d++(?:[ -]\d++)*+")
_GROUP = re.compile(r"\d+")
# How numbers of the payment networks start. It spares years, times in milliseconds and most ids.
_CARD_START = re.compile(r"2131|2[2-7]|[345689]")
_CARD_DIGITS = range(13, 20)
_FIRST_GROUP, _LATER_GROUPS = 4, range(3, 8)  # digits, where the number is written in groups

_GAP = r"[ ()/.-]{0,3}"
_NATIONAL_GAP = r"[ ()/-]{0,2}"
_PHONE = re.compile(
    rf"""
    (?<![\w#]) (?<!\w-) (?<!\d[.,/])
    (?:
        \+ {_GAP} [1-9] (?:{_GAP}\d){{7,14}}                   # +49 (0)30 1234567
      | 00 [1-9] (?:{_GAP}\d){{8,12}}                          # 0049 30 1234567
      | (?!\d{{1,2}}[/-]\d{{1,2}}[/-]\d{{2}})                  # no date
        \(? 0[1-9] (?:{_NATIONAL_GAP}\d){{7,10}}               # (030) 1234567
      | 0[1-9] (?:\.\d\d){{4}}                                 # 01.23.45.67.89
      | (?:1[ .-])? \(? [2-9]\d\d (?:\)[ ]? | [ .-])
        \d{{3}} [ .-] \d{{4}}                            # (415) 555-0123
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
    without = _DIGIT_GROUPS.sub(lambda found: _without_cards(found.group()), without)
    without = _PHONE.sub("[phone]", without)
    return text if without == plain else without


def _without_cards(run: str) -> str:
    groups = list(_GROUP.finditer(run))
    kept: list[str] = []
    done = at = 0
    while at < len(groups):
        end = _card_end(groups, at)
        if end is None:
            at += 1
            continue
        kept += [run[done : groups[at].start()], "[card]"]
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
