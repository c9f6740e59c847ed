"""Reading what models say."""

import math
from typing import Any

import pytest

from edgeneuro.domain.agent import Agent
from edgeneuro.errors import InvalidOutputError
from edgeneuro.gateway.interface import ModelAnswer, Token
from edgeneuro.synapsecore.rankers.model_output import NamedAgent, read_output


def agent(agent_id: str, name: str) -> Agent:
    return Agent(
        id=agent_id,
        name=name,
        description="d",
        examples=[],
        endpoint=None,
        protocol="openai",
        system_prompt=None,
        model=None,
        enabled=True,
        default=False,
        created_at="2026-01-01T00:00:00Z",
        updated_at="2026-01-01T00:00:00Z",
    )


AGENTS = [agent("it_support", "IT Support"), agent("hr", "Human Resources")]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"agent": "hr", "confidence": 0.7}, ("hr", 0.7)),
        ({"agent": "HR ", "confidence": 1}, ("hr", 1.0)),
        ({"agent": "Human Resources", "confidence": 0.7}, ("hr", 0.7)),
        ({"agent": "hr", "confidence": "0.7"}, ("hr", 0.7)),
        ({"agent": "hr", "confidence": 95}, ("hr", 0.95)),
        ({"agent": "hr"}, ("hr", None)),
        ({"agent": "hr", "confidence": None}, ("hr", None)),
        ({"agent": "hr", "confidence": 0.7, "why": "leave"}, ("hr", 0.7)),
        ({"agent": "none", "confidence": 0.7}, (None, 0.7)),
        ('{"agent": "hr", "confidence": 0.7}', ("hr", 0.7)),
        ('```json\n{"agent": "hr", "confidence": 0.7}\n```', ("hr", 0.7)),
        ('Sure! {"agent": "hr", "confidence": 0.7} Anything else?', ("hr", 0.7)),
        ("hr", ("hr", None)),
        ('"hr".', ("hr", None)),
        ("IT Support", ("it_support", None)),
        ("none", (None, None)),
        ("This is one for it_support, I think.", ("it_support", 0.5)),
        ('{"agent": "hr", "confid', ("hr", 0.5)),
    ],
)
def test_what_can_be_understood(content: Any, expected: tuple[str | None, float | None]) -> None:
    chosen = read_output(ModelAnswer(content=content), AGENTS, stated=True)
    assert (chosen.agent_id, chosen.confidence) == expected
    assert chosen.source == (None if expected[1] is None else "stated")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "I cannot tell.",
        "it_support or hr",
        "chronic",  # holds "hr", but not as a word
        "{" * 100_000,
        '{"agent": "hr',  # cut off: of "hr_payroll", say
        '{"agent": "hr", "confidence": NaN}',
        '{"agent": "hr", "confidence": 101}',
        {"agent": "hr", "confidence": True},
        {"agent": None, "confidence": 1},
        {"agent": "finance", "confidence": 1},
        {"agent": "", "confidence": 1},
        {},
        "[]",
    ],
)
def test_what_cannot(content: Any) -> None:
    with pytest.raises(InvalidOutputError):
        read_output(ModelAnswer(content=content), AGENTS, stated=True)


def test_a_number_that_was_not_asked_for_is_not_used() -> None:
    """An adapter that learned one number states it for every question."""
    for content in ({"agent": "hr", "confidence": 1.0}, '{"agent": "hr", "confidence": true}'):
        chosen = read_output(ModelAnswer(content=content), AGENTS, stated=False)
        assert chosen == NamedAgent("hr", None, None)


def tokens(*given: tuple[str, float]) -> tuple[Token, ...]:
    return tuple(Token(text, math.log(probability)) for text, probability in given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # The quote that ends the name counts: "it" may go on as "it_support".
        ((('{"', 0.9), ("agent", 0.9), ('": "', 0.9), ("hr", 0.5), ('"}', 0.8)), 0.4),
        ((('{"agent":"', 0.9), ("it_", 0.5), ("support", 0.5), ('","confidence"', 0.5)), 0.125),
        # A token that holds the opening quote and the beginning of the name.
        ((('{"agent": ', 0.9), ('"hr', 0.5), ('"', 1.0), (', "confidence": 1}', 0.1)), 0.5),
        ((("hr", 0.5),), None),
        ((('{"agent": "h', 0.5),), None),
        ((), None),
    ],
)
def test_the_probability_of_the_tokens_that_name_the_agent(
    given: tuple[tuple[str, float], ...], expected: float | None
) -> None:
    content = "".join(text for text, _ in given)
    content = content if content.endswith("}") else '{"agent": "hr", "confidence": 0.7}'
    for stated in (True, False):
        answer = ModelAnswer(content=content, tokens=tokens(*given))
        chosen = read_output(answer, AGENTS, stated=stated)
        if expected is None:
            assert chosen.source == ("stated" if stated else None)
        else:
            assert chosen.source == "logprobs"
            assert chosen.confidence == pytest.approx(expected)
