"""What the emulated engine decides: as the emulated text model does, and deterministically."""

import json
from typing import Any

import pytest

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.prompt import build_messages
from local.catalogue import MODELS
from local.engines import CompletionRequest, JsonMode, Message
from local.engines.emulated import EmulatedEngine
from local.engines.emulated_decisions import choice_probabilities, query_of
from local.engines.lexical import LexicalMatcher
from tests.local.decision_requests import AGENT, QUESTIONS, asked, decide
from tests.local.emulator import LLAMA, Emulator
from tests.local.test_emulated_engine import IDS, PROMPT, request

WORDS = LexicalMatcher()
TEXTS = {
    "it_support": "IT Support. Computers, accounts and access: passwords, VPN, software, hardware."
    ' e.g. "My VPN does not connect"; "I forgot my \\"old\\" password"',
    "hr": "Human Resources. Employment matters: holidays and leave, sick days, benefits."
    ' e.g. "How many vacation days do I have left?"; "I want to apply for parental leave"',
    "finance": "Finance. Money: salary payments, expenses and reimbursement, invoices, taxes."
    ' e.g. "How do I get my travel expenses reimbursed?"',
    "legal": "Legal. Contracts and compliance: NDAs, privacy, licences.",
    "facilities": "Facilities. Buildings: emulators, meeting rooms, badges, heating, parking.",
    "general": "General Assistant. Anything that no other agent covers, greetings, small talk."
    ' e.g. "Tell me a joke"',
    "none": None,
}
QUERIES = [
    "My VPN does not connect",
    "I forgot my pasword",
    "how many vacation days do I have left",
    "please check this NDA",
    "the heating",
    "taxes on parking",
    "know any jokes?",
    "contract for the printer in meeting room 4",
    "quantum chromodynamics",
    "???",
]


@pytest.mark.parametrize("query", QUERIES)
async def test_it_agrees_with_the_emulated_text_model(query: str) -> None:
    completion = await EmulatedEngine().complete(request(query))
    said = json.loads(completion.text)["agent"]
    shares = choice_probabilities(query, TEXTS, WORDS)
    assert max(shares, key=lambda each: shares[each]) == said
    assert sum(shares.values()) == pytest.approx(1, abs=0.001)
    assert all(0 <= share <= 1 for share in shares.values())
    assert shares == choice_probabilities(query, TEXTS, WORDS)


def test_the_agents_of_both_tests_are_the_same() -> None:
    assert list(TEXTS) == IDS
    assert all(f"- {name}: " in PROMPT for name in IDS if name != "none")


def test_without_a_none_nothing_in_common_is_an_even_spread() -> None:
    shares = choice_probabilities(
        "quantum chromodynamics", {"a": "vpn", "b": "tax", "c": None}, WORDS
    )
    assert set(shares.values()) == {0.3333}


@pytest.mark.parametrize("name", ["none", "None", "none_of_these", "none-of-them"])
def test_an_option_that_means_none(name: str) -> None:
    options = {"it": "VPN and laptops", "hr": "leave", name: "no agent fits"}
    assert choice_probabilities("the weather on mars", options, WORDS)[name] > 0.8
    shares = choice_probabilities("my vpn is down", options, WORDS)
    assert max(shares, key=lambda each: shares[each]) == "it"
    assert "nonesuch" in choice_probabilities(
        "nonesuch tours", {"nonesuch": "tours", name: None}, WORDS
    )


@pytest.mark.parametrize(
    ("state", "query"),
    [
        ("my vpn", "my vpn"),
        ({"message": "my vpn", "length": 6, "tags": ["slow"]}, "my vpn slow"),
        (["my", "vpn"], "my vpn"),
        (
            [
                {"role": "user", "content": "salary"},
                {"role": "assistant", "content": "it is paid"},
                {"role": "user", "content": "my vpn"},
            ],
            "my vpn",
        ),
        ([{"role": "user", "content": [{"type": "text", "text": "my vpn"}]}], "my vpn"),
        ({"messages": [{"role": "user", "content": "my vpn"}], "agent": "hr"}, "my vpn"),
        ([{"role": "assistant", "content": "it is paid"}], "it is paid"),
    ],
)
def test_what_is_read_of_a_state(state: Any, query: str) -> None:
    assert query_of(state) == query


async def nouls(emulator: Emulator, state: str, **questions: Any) -> dict[str, float]:
    answers = (await decide(emulator, asked(state, {**QUESTIONS, **questions})))["answers"]
    return {key: each["noul"] for key, each in answers.items() if each["type"] == "noul"}


async def test_two_close_options_need_a_clarifying_question(emulator: Emulator) -> None:
    clear = await nouls(emulator, "My VPN does not connect")
    close = await nouls(emulator, "holidays taxes")
    nothing = await nouls(emulator, "quantum chromodynamics")
    assert close["clarify"] > 0.5 > clear["clarify"]
    assert nothing["clarify"] < 0.5


@pytest.mark.parametrize(
    ("state", "several"),
    [
        ("My VPN is down and I need an invoice", True),
        ("My VPN is down. Also, how many vacation days do I have left?", True),
        ("My VPN is down and my password expired", False),
        ("My VPN is down", False),
        ("fish and chips", False),
    ],
)
async def test_work_for_two_agents(emulator: Emulator, state: str, several: bool) -> None:
    assert ((await nouls(emulator, state))["several"] > 0.5) is several


async def test_any_other_yes_no_question_is_answered_by_its_words(emulator: Emulator) -> None:
    angry = {
        "type": "noul",
        "instructions": "Is the user angry?",
        "criteria": {"true": "terrible, useless", "false": "thanks"},
    }
    first = await nouls(emulator, "This is terrible and useless", angry=angry)
    other = await nouls(emulator, "Thanks a lot", angry=angry)
    assert first["angry"] > other["angry"]


def agent(name: str, description: str, example: str) -> Agent:
    return Agent.model_construct(
        id=name, name=name.upper(), description=description, examples=[example]
    )


async def test_a_prompt_of_the_router_and_a_question_decide_alike(emulator: Emulator) -> None:
    """With the product's own agents, in the product's own prompt."""
    agents = [
        agent("it", "VPN and laptops", "my vpn is down"),
        agent("hr", "Leave and benefits", "parental leave"),
    ]
    options = {
        each.id: f'{each.name}. {each.description} e.g. "{each.examples[0]}"' for each in agents
    }
    for query in ("vpn trouble", "leave in May", "the moon"):
        messages = tuple(
            Message(each["role"], each["content"])
            for each in build_messages(query, agents, confidence=True)
        )
        mode = JsonMode({"properties": {"agent": {"enum": ["it", "hr", "none"]}}})
        completion = await EmulatedEngine().complete(
            CompletionRequest(MODELS[LLAMA], messages, 256, json_mode=mode)
        )
        question = {**AGENT, "criteria": {**options, "none": "none of these"}}
        answers = (await decide(emulator, asked(query, {"agent": question})))["answers"]
        assert answers["agent"]["choice"] == json.loads(completion.text)["agent"]


STATE = '{"previous_turn": {"user": "leave", "agent": "hr", "assistant": "When?"}, "message": %s}'
CONTINUES = {
    "type": "noul",
    "instructions": "Does the message continue the previous turn, for the same agent?",
}


@pytest.mark.parametrize(
    ("message", "agent", "continues"),
    [("Tomorrow", "hr", True), ("My VPN does not connect", "it_support", False)],
)
async def test_a_message_that_says_nothing_new_continues_the_turn_before(
    emulator: Emulator, message: str, agent: str, continues: bool
) -> None:
    state = STATE % json.dumps(message)
    inputs = asked(state, {"agent": AGENT, "follow_up": CONTINUES})
    answers = (await decide(emulator, inputs))["answers"]
    shares = answers["agent"]["probabilities"]
    assert max(shares, key=lambda each: shares[each]) == agent
    assert sum(shares.values()) == pytest.approx(1, abs=0.001)
    assert (answers["follow_up"]["noul"] > 0.5) == continues
    completion = await EmulatedEngine().complete(request(state))
    assert json.loads(completion.text)["agent"] == agent
