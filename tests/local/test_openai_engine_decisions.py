"""The openai engine's decisions against a small server that speaks both formats, in process."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from local.engines.openai import OpenAi
from tests.local.decision_requests import BEARER, CLEF, IMAGE, QUESTIONS, VPN, asked, decide
from tests.local.emulator import GATEWAY, Json, build_emulator
from tests.local.test_openai_decisions import BODY

# Not rounded, and sums that are not 1: they come back as they are.
SHARES = {"it_support": 0.71234567, "hr": 0.2, "finance": 0.05, "none": 0.01}
SYSTEM_ONE: Json = {
    "model": "real",
    "answers": {
        "agent": {
            "type": "choice",
            "choice": "it_support",
            "probabilities": SHARES,
            "confidence": 0.6,
        },
        "clarify": {"type": "noul", "noul": 0.123456},
        "severity": {
            "type": "score",
            "score": 1.5,
            "legend": {},
            "probabilities": {"0": 0.1, "1": 0.3, "2": 0.6},
            "confidence": 0.4,
        },
    },
    "usage": {"input_tokens": 99},
}
DECISION: Json = {
    "model": "real",
    "answers": [
        {
            "type": "choice",
            "name": None,
            "choice": "it_support",
            "probabilities": [{"value": k, "probability": p} for k, p in SHARES.items()],
            "confidence": 0.6,
        },
        {"type": "predicate", "name": None, "probability": 0.123456},
        {"type": "refusal", "name": None},
    ],
    "usage": {"input_tokens": 99, "output_tokens": 7, "total_tokens": 106},
}


class Server:
    def __init__(self) -> None:
        self.asked: list[tuple[str, Json]] = []
        self.keys: list[str | None] = []
        self.answer: Callable[[], Response] | None = None

    async def decide(self, request: Request) -> Response:
        self.asked.append((request.url.path, await request.json()))
        self.keys.append(request.headers.get("authorization"))
        if self.answer is not None:
            return self.answer()
        return JSONResponse(SYSTEM_ONE if "systemone" in request.url.path else DECISION)

    async def models(self, request: Request) -> Response:
        return JSONResponse({"data": [{"id": "first"}]})

    def engine(self, **settings: Any) -> OpenAi:
        routes = [
            Route("/v1/systemone", self.decide, methods=["POST"]),
            Route("/v1/decisions", self.decide, methods=["POST"]),
            Route("/v1/models", self.models),
        ]
        transport = httpx.ASGITransport(Starlette(routes=routes))
        return OpenAi("http://server/v1", transport=transport, **settings)


@pytest.fixture
def server() -> Server:
    return Server()


async def test_system_one_goes_to_system_one(server: Server) -> None:
    emulator = build_emulator(server.engine(key="sk-1"))
    answer = await emulator.run(asked(images=[IMAGE]), CLEF)
    sent = asked(images=[IMAGE])
    assert server.asked == [("/v1/systemone", {**sent, "model": "first"})]
    assert server.keys == ["Bearer sk-1"]
    assert answer.headers["x-local-engine"] == "openai"
    legend = dict(zip("012", QUESTIONS["severity"]["criteria"], strict=True))
    severity = {**SYSTEM_ONE["answers"]["severity"], "legend": legend}
    assert answer.json()["result"] == {
        "model": "clef",
        "answers": {**SYSTEM_ONE["answers"], "severity": severity},
        "usage": {"input_tokens": 99},
        "metadata": {"engine": "openai", "model": "first"},
    }


async def test_system_one_goes_to_decisions_if_it_is_set_so(server: Server) -> None:
    questions = {name: QUESTIONS[name] for name in ("agent", "clarify", "severity")}
    meant = {**questions["clarify"], "criteria": {"true": "two fit", "false": "one fits"}}
    emulator = build_emulator(server.engine(model="big", decisions="decisions"))
    result = await decide(emulator, asked(VPN, {**questions, "clarify": meant}))
    (path, body), *_ = server.asked
    assert (path, body["model"], body["input"]) == ("/v1/decisions", "big", VPN)
    agent, clarify, severity = body["questions"]
    criteria = QUESTIONS["agent"]["criteria"]
    assert agent["choices"] == [{"value": k, "description": v} for k, v in criteria.items()]
    assert clarify["type"] == "predicate"
    assert clarify["instructions"].endswith("\nYes means: two fit\nNo means: one fits")
    assert severity["levels"] == [{"label": each} for each in QUESTIONS["severity"]["criteria"]]
    assert [each["name"] for each in body["questions"]] == list(questions)
    # A refusal is a missing answer in System One.
    assert result["answers"] == {
        "agent": {
            "type": "choice",
            "choice": "it_support",
            "probabilities": SHARES,
            "confidence": 0.6,
        },
        "clarify": {"type": "noul", "noul": 0.123456},
    }
    assert result["usage"] == {"input_tokens": 99, "output_tokens": 7}


@pytest.mark.parametrize(
    ("state", "images", "expected"),
    [
        (
            [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes?"}],
            [],
            [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes?"}],
        ),
        (
            {"a": 1},
            [],
            [{"role": "user", "content": [{"type": "input_text", "text": '{"a": 1}'}]}],
        ),
        (
            "hi",
            [IMAGE],
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "hi"},
                        {"type": "input_image", "image_url": IMAGE},
                    ],
                }
            ],
        ),
    ],
)
async def test_states_become_openais_input(
    server: Server, state: Any, images: list[str], expected: Any
) -> None:
    emulator = build_emulator(server.engine(decisions="decisions"))
    await decide(emulator, asked(state, **({"images": images} if images else {})))
    assert server.asked[0][1]["input"] == expected


@pytest.mark.parametrize("decisions", ["systemone", "decisions"])
async def test_openais_format_goes_to_either(server: Server, decisions: str) -> None:
    if decisions == "systemone":
        given = dict(zip("012", SYSTEM_ONE["answers"].values(), strict=True))
        server.answer = lambda: JSONResponse({**SYSTEM_ONE, "answers": given})
    emulator = build_emulator(server.engine(decisions=decisions))
    answer = await emulator.client.post(f"{GATEWAY}/openai/decisions", json=BODY, headers=BEARER)
    agent, clarify, severity = answer.json()["answers"]
    assert {each["value"]: each["probability"] for each in agent["probabilities"]} == SHARES
    assert (agent["name"], agent["confidence"]) == ("agent", 0.6)
    assert clarify == {"type": "predicate", "probability": 0.123456, "name": None}
    assert severity["type"] == ("score" if decisions == "systemone" else "refusal")


@pytest.mark.parametrize("decisions", ["systemone", "decisions"])
@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (lambda: Response(status_code=429, headers={"retry-after": "3"}), 429, 3040),
        (lambda: Response(status_code=504), 408, 3007),
        (lambda: Response(status_code=401), 500, 3043),
        (lambda: Response(status_code=404), 500, 3043),
        (lambda: PlainTextResponse("<html>"), 500, 3043),
        (lambda: JSONResponse([]), 500, 3043),
        (lambda: JSONResponse({"answers": "IT"}), 500, 3043),
        (lambda: JSONResponse({"answers": {"agent": {"type": "text"}}}), 500, 3043),
        (lambda: JSONResponse({"answers": [{"type": "text"}]}), 500, 3043),
        (lambda: JSONResponse({"answers": {"agent": {"type": "noul", "noul": "x"}}}), 500, 3043),
        (lambda: JSONResponse({"answers": [{"type": "predicate"}]}), 500, 3043),
    ],
)
async def test_upstream_faults(
    server: Server, answer: Callable[[], Response], status: int, code: int, decisions: str
) -> None:
    server.answer = answer
    got = await build_emulator(server.engine(decisions=decisions)).run(asked(), CLEF)
    assert (got.status_code, got.json()["errors"][0]["code"]) == (status, code)
    assert "Traceback" not in got.text
