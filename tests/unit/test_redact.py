"""Personal data: what is taken out of a text, what stays, and that no text takes long."""

import unicodedata

import pytest

from edgeneuro.synapsecore.stored_text import redact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to ann@example.com please", "Write to [email] please"),
        ("a.b+tag@mail.example.co.uk.", "[email]."),
        ("<O'Brien_1@example.org>, thanks", "<[email]>, thanks"),
        ("mailto:ann@example.com?subject=x", "mailto:[email]?subject=x"),
        ("jürgen@müller.de und 用户@例子.公司", "[email] und [email]"),
        ("from=ann@a.io,bob@b.io", "from=[email],[email]"),
        ("ann\uff20example.com", "[email]"),
    ],
)
def test_e_mail_addresses(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("card 4111111111111111 was charged", "card [card] was charged"),
        ("4111 1111 1111 1111", "[card]"),
        ("4111-1111-1111-1111!", "[card]!"),
        ("5555\u00a05555\u00a05555\u00a04444", "[card]"),
        ("Amex 3782 822463 10005 exp 12/27", "Amex [card] exp 12/27"),
        ("Diners 3056 930902 5904", "Diners [card]"),
        ("6011111111111117 cvv 123", "[card] cvv 123"),
        ("in 2024 4111 1111 1111 1111 123", "in 2024 [card] 123"),
        ("12 4222222222222 and 2223003122003222", "12 [card] and [card]"),
        ("\uff14111\u30001111\uff0d1111 1111", "[card]"),
        ("two: 4111111111111111 5555555555554444", "two: [card] [card]"),
        ("4111.1111.1111.1111, 4111/1111/1111/1111", "[card], [card]"),
        ("4111\n1111\n1111\n1111", "[card]"),
        ("4111  1111  1111  1111", "[card]"),
        ("4111 - 1111 - 1111 - 1111", "[card]"),
        ("4111\u202f1111\u20091111\u20071111", "[card]"),
        ("4111\u22121111\u20131111\u2e3a1111", "[card]"),
        ("1.4111 1111 1111 1111", "1.[card]"),
    ],
)
def test_payment_card_numbers(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Call +49 (0)30 1234567 now", "Call [phone] now"),
        ("+1 415-555-0123", "[phone]"),
        ("+442079460958", "[phone]"),
        ("0049 30 1234567", "[phone]"),
        ("(415) 555-0123.", "[phone]."),
        ("415.555.0123, please", "[phone], please"),
        ("1-800-555-0199", "[phone]"),
        ("my number is 4155550123", "my number is [phone]"),
        ("tel:030/1234567", "tel:[phone]"),
        ("(020) 7946 0958", "[phone]"),
        ("01.42.68.53.00", "[phone]"),
        ("0171-1234567 oder 0412 345 678", "[phone] oder [phone]"),
        ("13800138000", "[phone]"),
        ("\uff10\uff19\uff10-1234\u20115678", "[phone]"),
        ("+\u0664\u0664 20 7946 0958", "[phone]"),
        ("+49  30\n1234567", "[phone]"),
        ("415 - 555 - 0123", "[phone]"),
        ("415/555/0123", "[phone]"),
        ("030 - 1234567", "[phone]"),
        ("+49\u202f30\u20111234567", "[phone]"),
    ],
)
def test_phone_numbers(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "The budget of 2024 and 2025",
        "2019 2020 2021 2022 2023 2024",
        "It costs 1,299.00 EUR or $12345.67",
        "100 000 000 people, +1 000 000 more",
        "Order 123456, ticket INC0123456789, #0123456789",
        "192.168.100.200 and 10.0.0.1:8080",
        "version 1.22.333.4444, v2.0.10",
        "0.4111111111111111 and 3,1415926535",
        "2024-01-15T10:30:00Z, 15.01.2024 10:30, 01/02/2024 10, 01-02-2024 10",
        "1700000000 and 1700000000123 are times",
        "ISBN 978-3-16-148410-0",
        "card 4111111111111112 fails Luhn's check",
        "12345678901234567890123 is an id",
        "0f8fad5b-d9cd-469f-a165-70867728950e",
        "\uff12\uff10\uff12\uff14 stays in full width",
        "@handle, me @ work, user@localhost, a@b",
        "call extension 4711 at 10:30",
        "",
    ],
)
def test_what_stays(text: str) -> None:
    assert redact(text) == text


def test_every_blank_and_dash_of_unicode_separates() -> None:
    for character in map(chr, range(0x110000)):
        if unicodedata.category(character) in ("Zs", "Pd"):
            assert redact(character.join(("4111", "1111", "1111", "1111"))) == "[card]"


def test_it_changes_nothing_twice() -> None:
    once = redact("ann@example.com, 4111111111111111, +49 30 1234567")
    assert once == "[email], [card], [phone]"
    assert redact(once) == once


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "1",
        "1 ",
        "01 ",
        "4111 ",
        "a@",
        "a.",
        "@",
        "+",
        "+4",
        "(0",
        "x@a.",
        "4111-",
        "9" * 20 + " ",
    ],
)
def test_8000_characters_that_would_mislead_a_backtracking_pattern_end(unit: str) -> None:
    text = (unit * 8_000)[:8_000]
    assert len(redact(text + "!")) <= len(text) + 1 + text.count("@") * 7
