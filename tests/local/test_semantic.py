"""The default engine: MiniLM compares the query with the agents' texts, where words do not help."""

import json
from pathlib import Path

import pytest

from local.app import minilm_matcher
from local.demonstration import demonstration_agents
from local.engines.emulated import EmulatedEngine
from local.engines.emulated_decisions import choice_probabilities
from local.engines.matching import STAYS, AgentText
from local.engines.minilm import load_minilm
from local.engines.semantic import MiniLmMatcher, texts_of
from tests.local.decision_requests import AGENT, asked
from tests.local.emulator import build_emulator
from tests.local.test_emulated_decisions import CONTINUES, STATE, TEXTS
from tests.local.test_emulated_engine import request

NAME = "emulated: all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def matcher() -> MiniLmMatcher:
    return MiniLmMatcher(load_minilm())


@pytest.mark.parametrize(
    ("query", "agent"),
    [
        ("my credentials are not accepted any more", "it_support"),
        ("how much time off is left for me", "hr"),
        ("when will the hotel bill be paid back", "finance"),
        ("where can I leave my car", "facilities"),
        ("why is the sky blue on mars", "none"),
        ("???", "none"),
        (" ", "none"),
    ],
)
async def test_it_finds_the_agent_by_meaning(
    matcher: MiniLmMatcher, query: str, agent: str
) -> None:
    completion = await EmulatedEngine(matcher).complete(request(query))
    said = json.loads(completion.text)
    assert said["agent"] == agent
    assert 0 < said["confidence"] < 1
    assert completion.metadata["engine"] == NAME
    shares = choice_probabilities(query, TEXTS, matcher)
    assert max(shares, key=lambda each: shares[each]) == agent
    assert sum(shares.values()) == pytest.approx(1, abs=0.001)


@pytest.mark.parametrize(
    ("message", "agent", "continues"),
    [("Tomorrow then, thanks", "hr", True), ("Also, I forgot my password", "it_support", False)],
)
async def test_a_conversation_keeps_its_agent_until_another_is_clearly_meant(
    matcher: MiniLmMatcher, message: str, agent: str, continues: bool
) -> None:
    state = STATE % json.dumps(message)
    emulator = build_emulator(EmulatedEngine(matcher))
    choice = {**AGENT, "criteria": TEXTS}
    inputs = asked(state, {"agent": choice, "follow_up": CONTINUES})
    answer = await emulator.run(inputs, "@cf/cloudflare/clef")
    assert answer.headers["x-local-engine"] == NAME
    answers = answer.json()["result"]["answers"]
    shares = answers["agent"]["probabilities"]
    assert max(shares, key=lambda each: shares[each]) == agent
    assert (answers["follow_up"]["noul"] > 0.5) == continues
    completion = await EmulatedEngine(matcher).complete(request(state))
    assert json.loads(completion.text)["agent"] == agent


async def test_a_message_that_says_little_is_sure_to_be_of_the_turn_before(
    matcher: MiniLmMatcher,
) -> None:
    """Its best agent is that of the turn, by a score that would not do for a first message."""
    turn = {"user": "My VPN does not connect", "agent": "it_support"}
    message = json.dumps({"previous_turn": turn, "message": "The second one is the one I use"})
    completion = await EmulatedEngine(matcher).complete(request(message))
    assert json.loads(completion.text) == {"agent": "it_support", "confidence": STAYS}


async def test_what_is_no_routing_question_gets_the_fixed_reply(matcher: MiniLmMatcher) -> None:
    completion = await EmulatedEngine(matcher).complete(
        request("hi there", system="Be kind.", schema=None)
    )
    assert completion.text.endswith("hi there")
    assert "not a language model" in completion.metadata["notice"]


def test_vectors_are_made_once(matcher: MiniLmMatcher) -> None:
    agents = [AgentText("it", "Laptops, printers."), AgentText("hr", "")]
    assert texts_of(agents[0]) == ["Laptops, printers.", "Laptops", "printers"]
    assert texts_of(agents[1]) == ["hr"]
    first = matcher.rank("the printer", agents)
    known = len(matcher._vectors)
    assert matcher.rank("the printer", agents) == first
    assert len(matcher._vectors) == known
    assert matcher.rank("the printer", []).best is None


def test_without_the_weights_words_are_compared_and_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = EmulatedEngine(minilm_matcher(tmp_path))
    assert engine.name == "emulated"
    matcher = minilm_matcher(tmp_path)
    matcher.rank("a", [])
    matcher.rank("a", [])
    assert capsys.readouterr().out.count("`npm start` installs it") == 1


def test_the_demonstration_agents_are_prepared_at_the_start(matcher: MiniLmMatcher) -> None:
    agents = demonstration_agents()
    assert {agent.id for agent in agents} >= {"it_support", "general"}
    matcher.prepare(agents[:1])
    matcher._thread.submit(int).result()  # after it: there is one thread
    assert set(texts_of(agents[0])) <= set(matcher._vectors)
    assert demonstration_agents(Path("no.sql")) == []
