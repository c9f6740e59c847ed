"""The transformers engine as a decision model, on a tiny Llama: probabilities are those of plain
computation, token by token."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from local.decisions import Choice, DecisionRequest, Question, YesNo
from local.engines.transformers_engine.base import Base, load_base
from local.engines.transformers_engine.engine import TransformersEngine
from local.engines.transformers_engine.likelihood import log_likelihoods
from local.engines.transformers_engine.questions import (
    NO_STATE,
    build_prompt,
    messages_for,
    state_text,
)
from tests.local.decision_requests import CLEF, QUESTIONS, VPN, asked, decide
from tests.local.emulator import build_emulator
from tests.tiny_llama import one_thread

CHOICE = Choice(
    "Which agent?",
    {
        "it": "VPN",
        "hr": None,
        "a_very_long_name_of_an_agent": "leave",
        "none": "none of these",
        **{f"agent_{at}": "more" for at in range(20)},  # more than one batch
    },
)
STATES = ["My VPN does not connect", "x", "Holidays? " * 20]


@pytest.fixture(autouse=True)
def of_one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def base(tiny_llama: Path) -> Base:
    return load_base(str(tiny_llama), "float32")


@pytest.fixture
async def engine(base: Base) -> Any:
    engine = TransformersEngine(base)
    yield engine
    await engine.aclose()


def plain(base: Base, prompt: list[int], option: list[int]) -> float:
    """One forward pass over prompt and option."""
    with torch.inference_mode():
        logits = base.model(torch.tensor([[*prompt, *option]])).logits[0].float().log_softmax(-1)
    total = sum(float(logits[len(prompt) - 1 + at, token]) for at, token in enumerate(option))
    return total + float(logits[-1, sorted(base.stop_ids)].logsumexp(-1))


@pytest.mark.parametrize("state", STATES)
def test_likelihoods_are_those_of_plain_computation(base: Base, state: str) -> None:
    prompt = build_prompt(base, CHOICE, state)
    assert len({len(option) for option in prompt.options}) > 2
    found = log_likelihoods(base.model, prompt.tokens, [], prompt.options, base.stop_ids)
    expected = [plain(base, prompt.tokens, option) for option in prompt.options]
    assert found == pytest.approx(expected, abs=1e-3)


async def test_what_is_shared_by_states_changes_nothing(
    engine: TransformersEngine, base: Base
) -> None:
    for state in STATES:
        request = DecisionRequest(base.entry, "clef", state, {"agent": CHOICE})
        prompt = build_prompt(base, CHOICE, state)
        assert prompt.shared
        alone, prior = (
            log_likelihoods(base.model, each.tokens, [], each.options, base.stop_ids)
            for each in (prompt, build_prompt(base, CHOICE, NO_STATE))
        )
        scores = torch.tensor(alone, dtype=torch.float64) - torch.tensor(prior)
        expected = scores.softmax(-1).tolist()
        answer: Any = (await engine.decide(request)).answers["agent"]
        assert list(answer.probabilities.values()) == pytest.approx(expected, abs=1e-3)


async def test_a_state_that_says_nothing_leaves_all_options_even(
    engine: TransformersEngine, base: Base
) -> None:
    request = DecisionRequest(base.entry, "clef", NO_STATE, {"agent": CHOICE})
    answer: Any = (await engine.decide(request)).answers["agent"]
    assert set(answer.probabilities.values()) == {round(1 / len(CHOICE.options), 4)}


async def test_it_answers_as_any_decision_model(engine: TransformersEngine, base: Base) -> None:
    emulator = build_emulator(engine)
    first, again = await asyncio.gather(decide(emulator), decide(emulator))
    assert first == again
    assert first["metadata"] == {"engine": "transformers", "model": base.entry.id}
    answers = first["answers"]
    assert answers.keys() == QUESTIONS.keys()
    for name in ("agent", "severity"):
        shares = answers[name]["probabilities"]
        assert sum(shares.values()) == pytest.approx(1, abs=0.02)
        assert all(share == round(share, 4) for share in shares.values())
    assert 0 < answers["clarify"]["noul"] < 1
    assert 0 < answers["severity"]["score"] < 2
    assert first["usage"]["input_tokens"] > 100
    other = await decide(emulator, asked("Holidays in May"))
    assert other["answers"] != answers
    assert (await emulator.run(asked(), CLEF)).headers["x-local-engine"] == "transformers"


def test_the_prompt_holds_question_state_and_the_beginning_of_the_answer(base: Base) -> None:
    question = YesNo("Is it urgent?", "now", None)
    text = base.conversation.tokenizer.decode(build_prompt(base, question, VPN).tokens)
    assert text.index("Is it urgent?") < text.index("Yes means: now") < text.index(VPN)
    assert text.endswith("Answer:")
    assert "No means" not in text
    assert [message.role for message in messages_for(question, VPN)] == ["system", "user"]


@pytest.mark.parametrize("question", [CHOICE, YesNo("Is it urgent?")])
def test_a_long_state_is_cut_at_its_end(base: Base, question: Question) -> None:
    prompt = build_prompt(base, question, "first words " + "é∂ß " * 4_000)
    longest = max(len(option) for option in prompt.options)
    assert len(prompt.tokens) + longest < base.entry.context_window == 2_048
    assert len(prompt.tokens) > 2_000
    assert "first words" in base.conversation.tokenizer.decode(prompt.tokens)


def test_a_conversation_is_read_as_a_dialogue() -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": ["yes"]}]
    assert state_text(turns) == 'user: hi\nassistant: ["yes"]'
    assert state_text({"a": 1}) == '{"a": 1}'
    assert state_text("hi") == "hi"
