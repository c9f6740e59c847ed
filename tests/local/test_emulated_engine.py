"""The emulated engine: deterministic, never mistaken for a model, enough to try the product."""

import json

import pytest

from local.catalogue import MODELS
from local.engines import CompletionRequest, JsonMode, Message
from local.engines.emulated import EmulatedEngine, read_agents
from local.engines.lexical import match
from local.engines.matching import AgentText
from tests.local.emulator import LLAMA

PROMPT = """You are a router. Choose one agent.

- it_support: IT Support. Computers, accounts and access: passwords, VPN, software, hardware.
  e.g. "My VPN does not connect"; "I forgot my \\"old\\" password"
- hr: Human Resources. Employment matters: holidays and leave, sick days, benefits.
  e.g. "How many vacation days do I have left?"; "I want to apply for parental leave"
- finance: Finance. Money: salary payments, expenses and reimbursement, invoices, taxes.
  e.g. "How do I get my travel expenses reimbursed?"
- legal: Legal. Contracts and compliance: NDAs, privacy, licences.
- facilities: Facilities. Buildings: emulators, meeting rooms, badges, heating, parking.
- general: General Assistant. Anything that no other agent covers, greetings, small talk.
  e.g. "Tell me a joke"

Answer with JSON.
"""
IDS = ["it_support", "hr", "finance", "legal", "facilities", "general", "none"]
SCHEMA = {"type": "object", "properties": {"agent": {"enum": IDS}}}


def request(query: str, *, system: str = PROMPT, schema: object = SCHEMA) -> CompletionRequest:
    mode = JsonMode(schema) if isinstance(schema, dict) else None
    messages = (Message("system", system), Message("user", query))
    return CompletionRequest(MODELS[LLAMA], messages, 256, json_mode=mode)


async def decide(asked: CompletionRequest) -> tuple[str, float]:
    answer = json.loads((await EmulatedEngine().complete(asked)).text)
    return answer["agent"], answer["confidence"]


@pytest.mark.parametrize(
    ("query", "agent"),
    [
        ("My VPN does not connect", "it_support"),
        ("I forgot my pasword", "it_support"),
        ("how many vacation days do I have left", "hr"),
        ("parental leave policy", "hr"),
        ("I need a refund for my business trip expenses", "finance"),
        ("please check this NDA", "legal"),
        ("it is cold, the heating is off", "facilities"),
        ("know any jokes?", "general"),
        ("quantum chromodynamics", "none"),
        ("???", "none"),
    ],
)
async def test_it_finds_the_agent(query: str, agent: str) -> None:
    found, confidence = await decide(request(query))
    assert found == agent
    assert 0 < confidence < 1
    assert (found, confidence) == await decide(request(query))


async def test_confidence_is_spread() -> None:
    _, sure = await decide(request("My VPN does not connect"))
    _, fair = await decide(request("the heating"))
    _, torn = await decide(request("taxes on parking"))
    _, nothing = await decide(request("quantum chromodynamics"))
    assert sure > 0.9 > fair > torn
    assert nothing > 0.7


async def test_only_ids_of_the_schema_are_named() -> None:
    narrowed = {"properties": {"agent": {"enum": ["hr", "legal"]}}}
    agent, confidence = await decide(request("My VPN does not connect", schema=narrowed))
    assert agent in ("hr", "legal")
    assert confidence < 0.1


async def test_without_a_schema_the_prompt_is_enough() -> None:
    assert (await decide(request("vpn", schema=None)))[0] == "it_support"


async def test_without_blocks_the_ids_are_all_there_is() -> None:
    agent, _ = await decide(request("a question for legal", system="Choose."))
    assert agent == "legal"


@pytest.mark.parametrize("wrap", ["{}", "[INST] {} [/INST]", "<start_of_turn>user\n{}\n"])
async def test_one_message_can_hold_prompt_and_query(wrap: str) -> None:
    content = wrap.format(PROMPT + "\nQuery: how many vacation days are left")
    asked = CompletionRequest(MODELS[LLAMA], (Message("user", content),), 256)
    assert (await decide(asked))[0] == "hr"


async def test_anything_else_gets_one_fixed_reply() -> None:
    completion = await EmulatedEngine().complete(
        request("hi there", system="Be kind.", schema=None)
    )
    assert completion.text.endswith("hi there")
    assert "not a language model" in completion.text
    assert completion.metadata["engine"] == "emulated"
    assert completion.usage.prompt_tokens > 0


def test_blocks_end_at_a_blank_line() -> None:
    agents = read_agents('- a: Ay. First\n  more\n  e.g. "one"; "two"\n\n- not a block\n- b: Be')
    assert [agent.id for agent in agents] == ["a", "b"]
    assert agents[0].description == "Ay. First more"
    assert agents[0].examples == ["one", "two"]


def test_matching_among_nobody() -> None:
    assert match("vpn", []).agent is None
    assert match("", [AgentText("it", "vpn")]).agent is None
