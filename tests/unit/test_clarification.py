"""Clarifying questions: their text, how it is recognised, and what replies to it say."""

import pytest

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.clarification import asked_options, clarification, read_reply
from edgeneuro.domain.conversation import previous_text
from tests.unit.decision_models import agent

SENTENCE = "Which of these should help you?"
IT = agent("it_support", name="IT Support")
HR = agent("people", name="Human Resources")
SALES = agent("sales", name="Sales Support")
AGENTS = [IT, HR, SALES]


def test_the_text_names_the_agents_and_is_recognised() -> None:
    asked = clarification(SENTENCE, [IT, HR])
    assert asked.text == f"{SENTENCE}\n1. IT Support\n2. Human Resources"
    assert [(each.agent_id, each.label) for each in asked.options] == [
        ("it_support", "IT Support"),
        ("people", "Human Resources"),
    ]
    found = asked_options(SENTENCE, previous_text(asked.text), AGENTS)
    assert [each.agent for each in found] == [IT, HR]


def test_agents_of_one_name_are_told_apart() -> None:
    twins = [agent("a", name="Help"), agent("b", name="Help"), HR]
    asked = clarification(SENTENCE, twins)
    assert asked.text.split("\n")[1:] == ["1. Help (a)", "2. Help (b)", "3. Human Resources"]
    found = asked_options(SENTENCE, asked.text, twins)
    assert [each.agent and each.agent.id for each in found] == ["a", "b", "people"]


def test_a_name_that_an_agent_outside_of_the_question_has_too() -> None:
    twins = [agent("a", name="Help"), agent("b", name="help"), HR]
    asked = clarification(SENTENCE, twins[1:], twins)
    assert asked.text.split("\n")[1:] == ["1. help (b)", "2. Human Resources"]
    found = asked_options(SENTENCE, asked.text, twins)
    assert [each.agent and each.agent.id for each in found] == ["b", "people"]


@pytest.mark.parametrize("name", ["No", "None", "Both", "I don't know", "No Reply", "No. 7", "😀"])
def test_a_name_that_is_a_reply_of_its_own(name: str) -> None:
    agents = [agent("odd", name=name), HR]
    options = asked_options(SENTENCE, clarification(SENTENCE, agents).text, agents)
    assert read_reply(name.lower(), options) == 0
    assert read_reply("Human Resources", options) == 1


def test_an_agent_that_is_gone_keeps_its_place() -> None:
    asked = clarification(SENTENCE, [IT, HR])
    found = asked_options(SENTENCE, asked.text, [HR])
    assert [(each.label, each.agent) for each in found] == [
        ("IT Support", None),
        ("Human Resources", HR),
    ]


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        SENTENCE,
        f"{SENTENCE}\n1. IT Support",
        f"{SENTENCE}\n1. IT Support\n3. Human Resources",
        f"{SENTENCE}\n1. A\n2. B\n3. C\n4. D",
        f"{SENTENCE}\nSee below.\n1. IT Support\n2. Human Resources",
        "Here is a list:\n1. IT Support\n2. Human Resources",
        f"{SENTENCE}\n1. IT Support\n2. Human Resources\nAnything else?",
    ],
)
def test_other_texts_are_no_question(text: str | None) -> None:
    assert asked_options(SENTENCE, text, AGENTS) == ()


REPLIES: list[tuple[str, int | str | None]] = [
    ("1", 0),
    ("2.", 1),
    ("#3", 2),
    ("option 2 please", 1),
    ("number one", 0),
    ("one", 0),
    ("two", 1),
    ("The second one", 1),
    ("the last one, thanks", 2),
    ("die zweite bitte", 1),
    ("le deuxième", 1),
    ("la tercera, por favor", 2),
    ("IT", 0),
    ("it please", 0),
    ("HR", 1),
    ("human resources please", 1),
    ("I think Human Resources, about my leave", 1),
    ("Resources", 1),
    ("@people", 1),
    ("sales", 2),
    ("it_support", 0),
    ("none", "none"),
    ("Neither of them, sorry", "none"),
    ("no", "none"),
    ("keine davon", "none"),
    ("both", "all"),
    ("all of them please", "all"),
    # Not a choice: it fits two, none, or says more than a choice does.
    ("support", None),
    ("4", None),
    ("1 or 2", None),
    ("IT Support or Human Resources", None),
    ("not human resources", None),
    ("I need a new laptop", None),
    ("My human resources portal shows a blank page since yesterday", None),
    ("one of my colleagues cannot log in", None),
    ("?", None),
    ("1 " * 5_000, None),
]


@pytest.mark.parametrize(("reply", "said"), REPLIES)
def test_what_a_reply_says(reply: str, said: int | str | None) -> None:
    options = asked_options(SENTENCE, clarification(SENTENCE, AGENTS).text, AGENTS)
    assert read_reply(reply, options) == said


def test_the_third_of_two_is_none_of_them() -> None:
    options = asked_options(SENTENCE, clarification(SENTENCE, [IT, HR]).text, AGENTS)
    assert read_reply("the third one", options) is None
    assert read_reply("the last one", options) == 1


def test_names_in_scripts_without_blanks_are_found() -> None:
    agents: list[Agent] = [agent("kefu", name="客服"), agent("renshi", name="人事")]
    options = asked_options(SENTENCE, clarification(SENTENCE, agents).text, agents)
    assert read_reply("人事", options) == 1
