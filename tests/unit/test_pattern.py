"""Expressions of rules: the same answers as Python's `re` where both have the syntax, and a number
of steps that is linear in the text."""

import random
import re

import pytest

from edgeneuro.domain.pattern import PatternError, parse_pattern, required_text
from edgeneuro.domain.pattern_program import MAX_INSTRUCTIONS
from edgeneuro.domain.pattern_search import MAX_STEPS, Budget, Pattern, StepLimitError
from edgeneuro.domain.query import normalise


def found(pattern: str, text: str) -> bool:
    return Pattern(pattern).search(normalise(text), Budget())


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("refund", "I want a REFUND now", True),
        ("REFUND", "a refund", True),
        ("^refund$", "refund", True),
        ("^refund$", "a refund", False),
        (r"\brefund\b", "refunds", False),
        (r"\brefund\b", "a refund, please", True),
        (r"\Bfund", "refund", True),
        (r"\Bfund", "a fund", False),
        (r"order #?\d{4,6}\b", "where is order #12345?", True),
        (r"order #?\d{4,6}\b", "order 123", False),
        ("colou?r|gr[ae]y", "Grey", True),
        ("[^a-z ]", "only letters", False),
        ("[A-C]x", "bx", True),
        (r"[\d-]+z", "12-3z", True),
        (r"[]a]b", "]b", True),
        ("a{2}", "xa a", False),
        ("a{2}", "xaa", True),
        ("(ab){2,}c", "ababababc", True),
        ("(ab){2,3}c", "abc", False),
        ("a||b", "zzz", True),
        ("()*", "", True),
        ("(a*)*b", "aaaab", True),
        ("$^", "", True),
        ("straße", "STRASSE", True),
        ("\uff56\uff50\uff4e", "vpn", True),
        ("é", "E\u0301", True),
        (r"a\.b", "axb", False),
        (r"\w+@", "हिन्दी@", True),
        ("\u0436\u0443\u043a", "\u0416\u0423\u041a", True),
        ("a.c", "a\nc", True),
    ],
)
def test_what_is_found(pattern: str, text: str, expected: bool) -> None:
    assert found(pattern, text) is expected


@pytest.mark.parametrize(
    ("pattern", "part"),
    [
        ("(a", "a ( without its )"),
        ("a)", "a ) without its ("),
        ("[a", "a [ without its ]"),
        ("[]", "a [ without its ]"),
        ("[z-a]", "a range"),
        ("*a", "nothing before it"),
        ("a**", "one quantifier after another"),
        ("a+?", "one quantifier after another"),
        ("a++", "one quantifier after another"),
        ("^*", "no character"),
        (r"(a)\1", "back-references"),
        ("(?=a)", "look-ahead"),
        ("(?<=a)b", "look-ahead"),
        ("(?P<x>a)", "names"),
        ("(?i)a", "flags"),
        (r"\p{L}", "is not there"),
        ("a{,3}", "{2,5}"),
        ("a{", "{2,5}"),
        ("a{5,2}", "reversed"),
        ("a{101}", "more than 100 times"),
        ("a{99999999999999999999}", "more than 100 times"),
        ("(a{100}){100}", "too large"),
        ("((((((){100}){100}){100}){100}){100}){100}", "too large"),
        ("(" * 21 + "a" + ")" * 21, "deep"),
        ("a" * 201, "at most 200 characters"),
        ("a\\", "ends with a"),
        ("[ß]", "in a class"),
    ],
)
def test_what_is_refused(pattern: str, part: str) -> None:
    with pytest.raises(PatternError, match=re.escape(part)):
        Pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+$", "(a|a)*$", "(a|aa)+$", "(.*)*x", "(a?){50}a{50}$", r"^(\w+\s?)*$", "(a*)*b"],
)
def test_what_makes_others_backtrack_takes_few_steps(pattern: str) -> None:
    """8,000 characters; the number of steps is that of new states, not of characters."""
    budget = Budget()
    Pattern(pattern).search("a" * 7_999 + "!", budget)
    assert MAX_STEPS - budget.steps < 60_000


@pytest.mark.parametrize(
    "pattern", ["(a|b)*a(a|b){100}[cd]", "(a|b|ab|ba)*[cd]", "(.a|b.){90}[cd]"]
)
def test_steps_are_linear_at_worst(pattern: str) -> None:
    """Texts for which nearly every character leads to a new state: twice the text, twice the
    steps, and never more than one step for each instruction and character."""
    dice = random.Random(1)
    text = "".join(dice.choices("ab", k=4_000))
    steps = []
    for part in (text[:2_000], text):
        budget = Budget(10**9)
        Pattern(pattern).search(part, budget)
        steps.append(10**9 - budget.steps)
        assert steps[-1] <= MAX_INSTRUCTIONS * (len(part) + 20)
    assert steps[1] <= 2.2 * steps[0] + 20_000


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"order #?\d+", "order "),
        (r"\brefund\b", "refund"),
        ("(my )order|x", ""),
        ("(?:my )order", "my order"),
        ("a(b|c)def?", "de"),
        ("[x]yz", "xyz"),
        (".*", ""),
    ],
)
def test_what_is_looked_for_first(pattern: str, text: str) -> None:
    assert required_text(parse_pattern(pattern)) == text


def test_the_budget_ends_a_search() -> None:
    dice = random.Random(1)
    budget = Budget(1_000)
    with pytest.raises(StepLimitError):
        Pattern("(a|b)*a(a|b){100}c").search("".join(dice.choices("abc", k=4_000)), budget)


def test_what_is_kept_is_bounded() -> None:
    """Thousands of letters and states: the answers stay right when states were dropped."""
    dice = random.Random(2)
    pattern, reference = Pattern("(a|b)*a(a|b){12}c"), re.compile("(a|b)*a(a|b){12}c")
    for _ in range(30):
        text = "".join(dice.choices("aaabbbc", weights=[9, 9, 9, 9, 9, 9, 1], k=300))
        assert pattern.search(text, Budget(10**9)) is (reference.search(text) is not None)
    assert len(pattern._states) <= 300
    others = "".join(map(chr, range(0x4E00, 0x4E00 + 5_000)))
    assert not pattern.search(others, Budget(10**9))
    assert len(pattern._letters) <= 1_000


def test_random_expressions_agree_with_re() -> None:
    dice = random.Random(3)

    def expression(depth: int) -> str:
        kind = dice.randrange(9 if depth else 4)
        if kind < 2:
            return dice.choice("abc")
        if kind == 2:
            return dice.choice([".", "[ab]", "[^a]", r"\w", r"\d", r"\s", " ", "1"])
        if kind == 3:
            return dice.choice([r"\b", "^", "$", "", r"\B"])
        if kind == 4:
            return f"({expression(depth - 1)}|{expression(depth - 1)})"
        if kind == 5:
            quantifier = dice.choice(["*", "+", "?", "{2}", "{1,3}", "{2,}"])
            return f"(?:{expression(depth - 1)}){quantifier}"
        return expression(depth - 1) + expression(depth - 1)

    for _ in range(1_500):
        source = expression(4)
        reference, pattern = re.compile(source, re.ASCII), Pattern(source)
        for _ in range(8):
            text = "".join(dice.choices("abc 1", k=dice.randrange(1, 9)))
            wanted = reference.search(text) is not None
            assert pattern.search(text, Budget()) is wanted, (source, text)
