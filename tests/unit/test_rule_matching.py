"""Which rules hold for a message, and what a list of them comes to."""

from typing import Any

import pytest

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.pattern_search import Budget
from edgeneuro.domain.rule import Rule
from edgeneuro.domain.rule_matching import Message, Outcome, apply_rules, has_words, matches
from tests.unit.conftest import GENERAL, HR, IT

TIME = "2027-01-15T08:00:00.000Z"
FIELDS: dict[str, Any] = {
    **{"examples": [], "endpoint": None, "protocol": "openai", "system_prompt": None},
    **{"model": None, "enabled": True, "default": False, "created_at": TIME, "updated_at": TIME},
}
ALL = [Agent.model_validate(FIELDS | each) for each in (IT, HR, GENERAL)]
AGENTS = {agent.id: agent for agent in ALL}


def message(query: str, **fields: Any) -> Message:
    return Message(query=query, agents=AGENTS, **({"key_id": "key_1"} | fields))


def rule(when: dict[str, Any], then: dict[str, Any] | None, rule_id: str = "rul_1") -> Rule:
    return Rule(
        id=rule_id,
        position=1,
        name=None,
        when=when,  # type: ignore[arg-type]
        then=then,  # type: ignore[arg-type]
        enabled=True,
        created_at=TIME,
        updated_at=TIME,
    )


def holds(when: dict[str, Any], query: str, **fields: Any) -> bool:
    return matches(rule(when, {"agent_id": "hr"}).when, message(query, **fields))


def apply(*effects: dict[str, Any] | None, query: str = "@hr a", **options: Any) -> Outcome:
    """Rules that all hold."""
    rules = [
        rule({"mention": True} if then is None else {}, then, f"rul_{number}")
        for number, then in enumerate(effects)
    ]
    facts: dict[str, Any] = {"allowed": list(AGENTS), "model_refusal": lambda name: None}
    return apply_rules(rules, message(query), **(facts | options))


@pytest.mark.parametrize(
    ("words", "text", "expected"),
    [
        ("refund", "a refund, please", True),
        ("REFUND", "a refund", True),
        ("refund", "refunds", False),
        ("refund", "refund_me", False),
        ("fund", "refunds fund", True),
        ("my  Bank account", "about my bank account!", True),
        ("bank account", "bank-account", False),
        ("c++", "is c++ old?", True),
        ("c", "c++", True),
        ("straße", "die strasse", True),
        ("की", "हकीकत", False),
        ("退款", "我要退款谢谢", True),
    ],
)
def test_words_are_whole_words(words: str, text: str, expected: bool) -> None:
    assert has_words(message(text).text, words) is expected


@pytest.mark.parametrize(
    ("query", "agent_id"),
    [
        ("@hr how many days?", "hr"),
        ("please ask @HR, thanks", "hr"),
        ("@Human  resources: leave", "hr"),
        ("ask @it_support.", "it_support"),
        ("@hr and @it_support", "hr"),
        ("hr", None),
        ("mail me: joe@hr", None),
        ("@hr.example.com", None),
        ("@hrx", None),
        ("@hr-team", None),
        ("@legal", None),
        ("@ hr", None),
        ("\uff20hr", "hr"),
    ],
)
def test_a_mention_is_a_word(query: str, agent_id: str | None) -> None:
    assert message(query).mentioned == agent_id
    assert holds({"mention": True}, query) is (agent_id is not None)


def test_the_longer_name_is_mentioned() -> None:
    agents = {
        "it": AGENTS["hr"].model_copy(update={"id": "it", "name": "IT"}),
        "desk": AGENTS["hr"].model_copy(update={"id": "desk", "name": "IT Desk"}),
    }
    found = Message(query="@it desk help", agents=agents, key_id="k").mentioned
    assert found == "desk"


@pytest.mark.parametrize(
    ("metadata", "given", "expected"),
    [
        ({"plan": "pro"}, {"plan": "pro", "n": 1}, True),
        ({"plan": "pro"}, {"plan": "free"}, False),
        ({"plan": "pro"}, None, False),
        ({"n": 1}, {"n": 1.0}, True),
        ({"n": 1}, {"n": True}, False),
        ({"n": True}, {"n": 1}, False),
        ({"a": 1, "b": 2}, {"a": 1}, False),
    ],
)
def test_metadata_has_all_values(metadata: Any, given: Any, expected: bool) -> None:
    assert holds({"metadata": metadata}, "a", metadata=given) is expected


def test_all_conditions_must_hold() -> None:
    when = {"words": ["leave"], "pattern": r"\d+", "key_id": "key_1", "user": "u1"}
    assert holds(when, "leave 5", user="u1")
    assert not holds(when, "leave", user="u1")
    assert not holds(when, "5", user="u1")
    assert not holds(when, "leave 5", user="u2")
    assert not holds(when, "leave 5", user="u1", key_id="key_2")
    assert holds({}, "anything")


def test_the_first_rule_that_names_an_agent_ends_the_list() -> None:
    outcome = apply({"never": ["general"]}, {"agent_id": "hr"}, {"never": ["hr"]}, {"model": "m"})
    assert (outcome.agent_id, outcome.model) == ("hr", None)
    assert [each.id for each, _ in outcome.effective] == ["rul_0", "rul_1"]
    assert outcome.notes == ("rule rul_0 excludes general", "rule rul_1 names 'hr'")


def test_a_mention_is_answered_by_the_mentioned_agent() -> None:
    assert apply(None).agent_id == "hr"
    skipped = apply(None, allowed=["general"])
    assert skipped.agent_id is None and not skipped.effective
    assert skipped.notes == ("rule rul_0 is skipped: the agent 'hr' is not allowed",)


def test_never_and_prefer_add_up() -> None:
    outcome = apply(
        {"prefer": "general"}, {"prefer": "hr"}, {"never": ["general"]}, {"never": ["it_support"]}
    )
    assert (outcome.never, outcome.prefer) == (frozenset({"general", "it_support"}), "hr")
    assert [each.id for each, _ in outcome.effective] == ["rul_2", "rul_3", "rul_1"]


def test_a_rule_that_cannot_be_followed_is_skipped() -> None:
    outcome = apply(
        {"never": ["hr"]}, {"agent_id": "hr"}, {"agent_id": "gone"}, {"model": "m"},
        model_refusal=lambda name: f"the model {name!r} is not available",
    )  # fmt: skip
    assert (outcome.agent_id, outcome.model) == (None, None)
    assert outcome.notes[1:] == (
        "rule rul_1 is skipped: an earlier rule excludes 'hr'",
        "rule rul_2 is skipped: the agent 'gone' is not enabled, or not in this router",
        "rule rul_3 is skipped: the model 'm' is not available",
    )


def test_a_model_ends_the_list() -> None:
    outcome = apply({"prefer": "hr"}, {"model": "m"}, {"agent_id": "general"})
    assert (outcome.agent_id, outcome.prefer, outcome.model) == (None, "hr", "m")


def test_with_a_named_model_only_never_counts() -> None:
    effects = ({"never": ["hr"]}, {"prefer": "general"}, {"agent_id": "general"}, {"model": "m"})
    outcome = apply(*effects, model_named=True)
    assert outcome == Outcome(
        None, frozenset({"hr"}), None, None, outcome.effective, ("rule rul_0 excludes hr",)
    )


def test_an_expression_that_takes_too_many_steps_is_skipped() -> None:
    rules = [rule({"pattern": "(a|b)*a(a|b){90}[cd]"}, {"agent_id": "hr"})]
    sent = message("ab" * 500, budget=Budget(50))
    outcome = apply_rules(rules, sent, allowed=list(AGENTS), model_refusal=lambda name: None)
    assert outcome.agent_id is None
    assert outcome.notes == ("rule rul_1 is skipped: its expression took too many steps",)
