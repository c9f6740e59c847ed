"""Ways to write a question otherwise, the same for the same question."""

import pytest

from edgeneuro.classifier.perturbations import PERTURBATIONS, perturb

QUERY = "reset the password of my account"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("greeting", "Good morning! reset the password of my account Thank you"),
        ("signature", "reset the password of my account. Kind regards, Peter"),
        ("please", "could you please help me: reset the password of my account"),
        ("typo", "reeset the password of my account"),
        (
            "all",
            "Good morning! reeset the password of my account, please! Thank you"
            "\n\nBest regards,\nJohn Smith",
        ),
    ],
)
def test_the_same_question_is_written_in_the_same_way(kind: str, text: str) -> None:
    assert perturb(QUERY, kind) == text


@pytest.mark.parametrize("kind", [each for each in PERTURBATIONS if each not in ("typo", "all")])
@pytest.mark.parametrize("query", ["x", "", "{} {0} %s", "\ud800", "今天天气", "a b c " * 200])
def test_the_question_stays_in_the_text(kind: str, query: str) -> None:
    assert query in perturb(query, kind) != query


@pytest.mark.parametrize("query", ["", "a", "ab cd", "1234 5678", "今天天气"])
def test_where_no_word_is_long_there_is_no_typo(query: str) -> None:
    assert perturb(query, "typo") == query


def test_a_typo_changes_a_letter_or_two() -> None:
    ways = set()
    for number in range(60):
        query = f"password {number}"
        typo = perturb(query, "typo").split()[0]
        assert typo[0] == "p" and abs(len(typo) - len("password")) <= 1
        ways.add(typo)
    assert len(ways) > 12
