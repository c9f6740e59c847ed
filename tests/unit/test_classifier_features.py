"""What the classifier sees of a query."""

import random
from hashlib import sha256

import pytest

from edgeneuro.classifier.features import (
    BIAS,
    BUCKETS,
    BUCKETS_VERSION,
    FEATURES_VERSION,
    features,
    tokens,
)


@pytest.mark.parametrize(
    ("query", "same"),
    [
        ("Reset my PASSWORD", "  reset\tmy password "),
        ("Where\u2019s my café bill?", "where's my cafe bill"),
        ("room 4711", "room 9020"),
        ("re\u200bset pass\u00adword", "reset password"),
        ("\uff46\uff55\uff4c\uff4c width", "full width"),
        ("thanks 👍🏽", "thanks 👍 🏽"),
        ("STRASSE", "straße"),
        ("Good morning! Reset my password. Thank you", "reset my password"),
        (
            "Dear support team,\nreset my password.\n\nBest regards,\nJohn Smith",
            "reset my password",
        ),
        ("please reset my password", "reset my password"),
        ("reset my password\n-- \nJohn Smith\nSales", "reset my password"),
        ("reset my password. Sent from my iPhone", "reset my password"),
        ("Guten Tag, mein VPN geht nicht. Mit freundlichen Grüßen Max", "mein vpn geht nicht"),
        ("Bonjour, où est mon colis ? Merci d'avance. Cordialement, Marie", "ou est mon colis"),
        ("Hola, ¿dónde está mi pedido? Gracias. Saludos, Ana", "donde esta mi pedido"),
    ],
)
def test_what_is_written_otherwise_is_seen_alike(query: str, same: str) -> None:
    assert features(query) == features(same)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("今天天气", ["今", "天", "天", "气"]),
        ("привет, мир!", ["привет", "мир"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("go🚀now", ["go", "🚀", "now"]),
        ("don't stop'", ["don't", "stop"]),
        ("hello", ["hello"]),
        ("Hello, thank you so much!", ["thank", "you", "so", "much"]),
        ("Thanks", ["thanks"]),
        ("please", ["please"]),
        ("hi refund please", ["refund"]),
        ("oh sweet thanks", ["oh", "sweet", "thanks"]),
        ("how do you say thank you", ["how", "do", "you", "say", "thank", "you"]),
        ("give my best regards to Tom", ["give", "my", "best", "regards", "to", "tom"]),
        ("which is best, the red one?", ["which", "is", "best", "the", "red", "one"]),
        ("?!... --", []),
        ("", []),
    ],
)
def test_words_of_all_scripts(query: str, words: list[str]) -> None:
    assert tokens(query) == words


def test_a_text_without_words_has_the_bias_alone() -> None:
    assert features("") == features(" ?! ") == [BIAS]


def test_buckets_are_sorted_and_distinct() -> None:
    found = features("the cat and the dog and the cat")
    assert found == sorted(set(found))
    assert found[-1] == BIAS == BUCKETS


def test_a_typo_leaves_most_of_a_query() -> None:
    right, typo = set(features("transfer my savings")), set(features("tranfser my savings"))
    other = set(features("weather in boston"))
    assert len(right & typo) > len(right) / 2 > len(right & other)


def test_order_counts() -> None:
    assert features("boston to denver") != features("denver to boston")


@pytest.mark.parametrize("letter", ["a", "ﷺ", "今", "👍", "é", "\ud800"])
def test_long_texts_are_bounded(letter: str) -> None:
    chance = random.Random(1)
    text = "".join(chance.choice([letter, " ", "b", "c", "d"]) for _ in range(8_000))
    assert len(features(text)) < 5_000
    assert len(features(letter * 8_000)) < 5_000


def test_of_a_long_text_beginning_and_end_count() -> None:
    middle = " lorem ipsum" * 600
    with_all = features("cancel the order" + middle + " refund today")
    for part in ("cancel the order", "refund today"):
        assert len(set(features(part)) - set(with_all)) <= 2  # but for where the text ends
    assert len(set(features("tomorrow")) - set(with_all)) > 4


def test_a_change_of_the_buckets_needs_a_new_version() -> None:
    assert (BUCKETS_VERSION, FEATURES_VERSION) == (2, 3)
    found = features("Hi, VPN 7! Привет 👍")
    assert sha256(repr(found).encode()).hexdigest()[:16] == "22335cef71fa6ad1"
