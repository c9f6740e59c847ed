"""Each way to a decision model against the emulator, which checks requests as the upstreams do."""

from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.domain.provider import Provider
from edgeneuro.domain.question import (
    Choice,
    ChoiceAnswer,
    Level,
    Question,
    Score,
    ScoreAnswer,
    YesNo,
    YesNoAnswer,
)
from edgeneuro.errors import StaleAnswerError, UpstreamRejectedError
from edgeneuro.gateway.client import GatewayClient, build_gateway
from edgeneuro.gateway.interface import DecisionRequest
from local.app import build_app
from tests.local.emulator import Emulator, build_emulator
from tests.unit.test_decision_requests import CLEF, request
from tests.unit.test_gateway_https import KEYS, provider
from tests.unit.upstreams import AsgiFetch, FetchedAi
from tests.unit.ways import NOW, SETTINGS

QUESTIONS: dict[str, Question] = {
    "which agent?": Choice(
        "Which agent?",
        {
            "it": "IT Support: passwords, VPN, software.",
            'hr"}': "Human Resources: holidays and leave.",
            "none": None,
        },
    ),
    "clarify": YesNo("Is a clarifying question needed?", yes="It has several meanings."),
    "severity": Score("How severe is it?", (Level("a question"), Level("down", "no work"))),
}
VPN = "My VPN and its software do not connect"
TURNS = [
    {"role": "user", "content": VPN},
    {"role": "assistant", "content": [{"type": "text", "text": "Since when?"}]},
    {"role": "user", "content": "My VPN and its software do not connect since Monday"},
]
IMAGE = "data:image/png;base64,iVBORw0KGgo="
# name -> provider, model, whether over the binding
WAYS: dict[str, tuple[Provider | None, str, bool]] = {
    "binding": (None, CLEF, True),
    "REST": (None, CLEF, False),
    "systemone": (provider("systemone", "https://vendor.example.com/v1"), "any-clef", False),
    "openai": (provider("openai"), "gpt-6-luna", False),
    "openai-compatible": (
        provider("openai-compatible", "https://vendor.example.com/v1"),
        "any-clef",
        False,
    ),
}
# Ways through AI Gateway, which has a cache.
CACHED = ["binding", "REST", "openai"]


class Way:
    def __init__(self, name: str) -> None:
        self.emulator: Emulator = build_emulator()
        self.provider, self.model, bound = WAYS[name]
        app = build_app(self.emulator.gateway)
        self.gateway: GatewayClient = build_gateway(
            replace(SETTINGS, provider_hosts=("vendor.example.com",)),
            binding=FetchedAi(AsgiFetch(app)) if bound else None,
            fetch=AsgiFetch(app, outbound=True),
            secret=KEYS.get,
            now=lambda: NOW,
        )

    def request(self, **changes: Any) -> DecisionRequest:
        fields = {"model": self.model, "provider": self.provider, "state": VPN}
        return request(**{**fields, "questions": QUESTIONS, **changes})


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return Way(request.param)


@pytest.mark.parametrize("state", [VPN, TURNS, {"message": VPN}, [VPN]])
async def test_all_questions_are_answered(way: Way, state: Any) -> None:
    answer = await way.gateway.decide(way.request(state=state))
    assert list(answer.answers) == list(QUESTIONS)
    chosen, clarify, severity = answer.answers.values()
    assert isinstance(chosen, ChoiceAnswer)
    assert chosen.choice == "it"
    assert list(chosen.probabilities) == ["it", 'hr"}', "none"]
    assert sum(chosen.probabilities.values()) == pytest.approx(1, abs=1e-9)
    assert isinstance(clarify, YesNoAnswer)
    assert 0 <= clarify.probability <= 1
    assert isinstance(severity, ScoreAnswer)
    assert severity.score == pytest.approx(severity.probabilities[1])
    assert answer.usage.prompt_tokens > 0
    assert answer.engine is not None  # the emulator says that it is one


async def test_an_image(way: Way) -> None:
    answer = await way.gateway.decide(way.request(image_urls=(IMAGE,)))
    assert len(answer.answers) == len(QUESTIONS)


async def test_what_the_upstream_refuses(way: Way) -> None:
    one: dict[str, Question] = {"agent": Choice("Which agent?", {"it": None})}
    with pytest.raises(UpstreamRejectedError):
        await way.gateway.decide(way.request(questions=one))


@pytest.mark.parametrize("name", CACHED)
async def test_ai_gateways_cache_and_its_log(name: str) -> None:
    way = Way(name)
    asked = way.request(cache_key="key")
    first, second = await way.gateway.decide(asked), await way.gateway.decide(asked)
    assert (first.trace.cache_status, second.trace.cache_status) == ("MISS", "HIT")
    assert first.trace.log_id and first.trace.log_id != second.trace.log_id
    assert first.answers == second.answers
    # Other questions under the same key get the answers that are cached.
    other = way.request(cache_key="key", questions={"other": YesNo("Is it?")})
    with pytest.raises(StaleAnswerError):
        await way.gateway.decide(other)
