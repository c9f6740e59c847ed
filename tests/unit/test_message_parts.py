"""A message is split into pieces, and the pieces of one agent are its part."""

import pytest

from edgeneuro.domain.message_parts import MAX_PIECES, split_message
from edgeneuro.synapsecore.message_parts import parts_of


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("My VPN is down", ["My VPN is down"]),
        ("My VPN is down. I need leave.", ["My VPN is down.", "I need leave."]),
        ("My VPN is down and I need leave", ["My VPN is down", "I need leave"]),
        ("My VPN is down, and also I need leave", ["My VPN is down", "I need leave"]),
        (
            "Mein VPN geht nicht und ich brauche Urlaub",
            ["Mein VPN geht nicht", "ich brauche Urlaub"],
        ),
        ("My VPN is down\n\nI need leave", ["My VPN is down", "I need leave"]),
        # A short piece is no request of its own.
        ("I need laptops and phones", ["I need laptops and phones"]),
        ("Laptops and phones for my team", ["Laptops and phones for my team"]),
        ("Version 3.5 is too slow", ["Version 3.5 is too slow"]),
        ("", []),
        (" and ", []),
    ],
)
def test_the_pieces_of_a_message(text: str, pieces: list[str]) -> None:
    assert [text[start:end] for start, end in split_message(text)] == pieces


def test_a_long_text_is_one_piece() -> None:
    sentence = "This is a sentence. "
    assert len(split_message(sentence * MAX_PIECES)) == MAX_PIECES
    text = sentence * (MAX_PIECES + 1)
    assert split_message(text) == [(0, len(text))]


def by_letter(piece: str) -> tuple[str, float] | None:
    """The first capital letter names the agent; a question mark makes it less sure."""
    letter = next((each for each in piece if each.isupper()), None)
    return None if letter is None else (letter, 0.8 if "?" in piece else 0.9)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Ask about it. Buy it now.", {"A": "Ask about it.", "B": "Buy it now."}),
        # What belongs to nobody stays with the part before it, or after it at the beginning.
        (
            "hello to you. Ask about it. it is new. Buy it now.",
            {"A": "hello to you. Ask about it. it is new.", "B": "Buy it now."},
        ),
        # An agent's parts are joined.
        (
            "Ask about it. Buy it now. Also ask more.",
            {"A": "Ask about it.\nAlso ask more.", "B": "Buy it now."},
        ),
        ("Ask about it. Ask about more.", {}),
        ("nobody knows this. Ask about it.", {}),
        ("Ask about it", {}),
        ("Ask about it. Buy it now. " + "x" * 2_000, {}),
    ],
)
def test_the_parts_of_a_message(text: str, parts: dict[str, str]) -> None:
    assert {agent: part.text for agent, part in parts_of(text, by_letter).items()} == parts


def test_the_probability_of_a_part_is_its_surest_pieces() -> None:
    found = parts_of("Ask about it? Ask about more. Buy it?", by_letter)
    assert {agent: part.probability for agent, part in found.items()} == {"A": 0.9, "B": 0.8}
