"""Reading what models say."""

from typing import Any

import pytest

from edgeneuro.domain.agent import Agent
from edgeneuro.errors import InvalidOutputError
from edgeneuro.synapsecore.reply import read_reply


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
        ({"agent": "hr"}, ("hr", 1.0)),
        ({"agent": "hr", "confidence": 0.7, "why": "leave"}, ("hr", 0.7)),
        ({"agent": "none", "confidence": 0.7}, (None, 0.7)),
        ('{"agent": "hr", "confidence": 0.7}', ("hr", 0.7)),
        ('```json\n{"agent": "hr", "confidence": 0.7}\n```', ("hr", 0.7)),
        ('Sure! {"agent": "hr", "confidence": 0.7} Anything else?', ("hr", 0.7)),
        ("hr", ("hr", 1.0)),
        ('"hr".', ("hr", 1.0)),
        ("IT Support", ("it_support", 1.0)),
        ("none", (None, 1.0)),
        ("This is one for it_support, I think.", ("it_support", 0.5)),
        ('{"agent": "hr", "confid', ("hr", 0.5)),
    ],
)
def test_what_can_be_understood(content: Any, expected: tuple[str | None, float]) -> None:
    assert read_reply(content, AGENTS) == expected


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
        {"agent": "hr", "confidence": None},
        {"agent": None, "confidence": 1},
        {"agent": "finance", "confidence": 1},
        {"agent": "", "confidence": 1},
        {},
        "[]",
    ],
)
def test_what_cannot(content: Any) -> None:
    with pytest.raises(InvalidOutputError):
        read_reply(content, AGENTS)
