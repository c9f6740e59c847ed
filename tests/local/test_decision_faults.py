"""Every fault of the emulator on the calls of decision models, in both formats."""

import json
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.answers import ConnectionDropped
from local.errors import AI_ERRORS
from local.faults import DECISION_KINDS, FIELDS
from tests.local.decision_requests import (
    AGENTS,
    BEARER,
    CLARIFY,
    CLEF,
    QUESTIONS,
    SEVERITY,
    VPN,
    asked,
    decide,
)
from tests.local.emulator import GATEWAY, Emulator, Json
from tests.local.test_openai_decisions import BODY

TEXT_KINDS = {"invalid_answer", "text", "huge"}


async def system_one(emulator: Emulator) -> httpx.Response:
    return await emulator.run(asked(), CLEF)


async def openai(emulator: Emulator) -> httpx.Response:
    return await emulator.client.post(f"{GATEWAY}/openai/decisions", json=BODY, headers=BEARER)


WAYS: list[Callable[[Emulator], Awaitable[httpx.Response]]] = [system_one, openai]


@pytest.mark.parametrize("ask", WAYS)
@pytest.mark.parametrize("code", [2009, 3040, 5012, 5028])
async def test_errors(emulator: Emulator, ask: Any, code: int) -> None:
    await emulator.fault(kind="error", code=code, retry_after=3)
    answer = await ask(emulator)
    assert answer.status_code == AI_ERRORS[code][0]
    assert answer.headers["retry-after"] == "3"
    if ask is system_one:
        assert answer.json()["errors"][0]["code"] == code
    else:
        assert AI_ERRORS[code][1] in answer.json()["error"]["message"]


@pytest.mark.parametrize("ask", WAYS)
async def test_statuses_bodies_and_connections(emulator: Emulator, ask: Any) -> None:
    for status in (429, 503):
        await emulator.fault(kind="status", status=status)
        assert (await ask(emulator)).status_code == status
    await emulator.fault(kind="reject")
    assert (await ask(emulator)).status_code == 400
    for kind in ("refuse", "hang"):
        await emulator.fault(kind=kind)
        with pytest.raises(ConnectionDropped):
            await ask(emulator)
    sound = await emulator.client.delete("/_local/faults")
    assert sound.status_code == 204
    whole = (await ask(emulator)).content
    for kind in ("malformed_json", "truncated_json"):
        await emulator.fault(kind=kind)
        cut = await ask(emulator)
        assert (cut.status_code, cut.headers["content-type"]) == (200, "application/json")
        assert cut.content == whole[: len(whole) // 2]
    await emulator.fault(kind="nested_json")
    assert (await ask(emulator)).content.startswith(b'{"a":{"a":')
    for kind in ("cut", "stall"):
        await emulator.fault(kind=kind)
        with pytest.raises(ConnectionDropped):
            await ask(emulator)
    for kind in ("slow", "drip"):
        await emulator.fault(kind=kind, delay_ms=10)
        assert (await ask(emulator)).content == whole
    await emulator.fault(kind="stream_error")
    assert (await ask(emulator)).content == whole


async def spoilt(emulator: Emulator, kind: str, **fields: Any) -> Any:
    await emulator.fault(kind=kind, **fields)
    answer = await system_one(emulator)
    assert answer.status_code == 200
    return json.loads(answer.content)["result"]  # Python's reads NaN too


@pytest.mark.parametrize("kind", sorted(TEXT_KINDS))
async def test_words_where_answers_should_be(emulator: Emulator, kind: str) -> None:
    fields: Json = {"text": {"answer": "I think it is IT."}, "huge": {"bytes": 5_000}}
    result = await spoilt(emulator, kind, **fields.get(kind, {}))
    assert isinstance(result["answers"], str)
    assert result["model"] == "clef"
    if kind == "huge":
        assert len(result["answers"]) == 5_000


async def test_another_object(emulator: Emulator) -> None:
    assert await spoilt(emulator, "wrong_json") == {"label": "blue", "score": "very high"}


async def test_no_answers_at_all(emulator: Emulator) -> None:
    assert (await spoilt(emulator, "empty"))["answers"] == {}


@pytest.mark.parametrize("kind", ["missing_question", "refusal"])
async def test_a_missing_question(emulator: Emulator, kind: str) -> None:
    """The first choice, unless the fault names another one. System One has no refusals."""
    assert set((await spoilt(emulator, kind))["answers"]) == set(QUESTIONS) - {"agent"}
    named = await spoilt(emulator, kind, question="several")
    assert set(named["answers"]) == set(QUESTIONS) - {"several"}
    unknown = await spoilt(emulator, kind, question="nobody")
    assert set(unknown["answers"]) == set(QUESTIONS)


@pytest.mark.parametrize(
    ("kind", "is_wrong"),
    [
        ("nan_probability", math.isnan),
        ("negative_probability", lambda share: share < 0),
        ("large_probability", lambda share: share > 1),
    ],
)
async def test_probabilities_that_are_none(
    emulator: Emulator, kind: str, is_wrong: Callable[[float], bool]
) -> None:
    answers = (await spoilt(emulator, kind))["answers"]
    assert answers["agent"]["choice"] == "it_support"
    assert is_wrong(answers["agent"]["probabilities"]["it_support"])
    assert not is_wrong(answers["clarify"]["noul"])
    assert is_wrong(
        (await spoilt(emulator, kind, question="clarify"))["answers"]["clarify"]["noul"]
    )
    severity = (await spoilt(emulator, kind, question="severity"))["answers"]["severity"]
    assert is_wrong(severity["probabilities"]["0"])
    assert 0 <= severity["score"] <= 2


async def test_a_nan_is_raw_in_the_body(emulator: Emulator) -> None:
    await emulator.fault(kind="nan_probability")
    assert b":NaN" in (await system_one(emulator)).content


@pytest.mark.parametrize(("total", "expected"), [(None, 3.0), (0.98, 0.98), (1.02, 1.02), (0, 0)])
async def test_a_sum_that_is_not_one(
    emulator: Emulator, total: float | None, expected: float
) -> None:
    fields = {} if total is None else {"sum": total}
    shares = (await spoilt(emulator, "wrong_sum", **fields))["answers"]["agent"]["probabilities"]
    assert sum(shares.values()) == pytest.approx(expected)
    assert all(0 <= share <= 1 for share in shares.values())
    answers = (await spoilt(emulator, "wrong_sum", question="severity", **fields))["answers"]
    assert sum(answers["severity"]["probabilities"].values()) == pytest.approx(expected)


async def test_options_that_were_not_offered(emulator: Emulator) -> None:
    more = (await spoilt(emulator, "unknown_option"))["answers"]["agent"]
    assert set(more["probabilities"]) == {*AGENTS, "no_such_option"}
    assert more["choice"] == "it_support"
    other = (await spoilt(emulator, "unknown_agent"))["answers"]["agent"]
    assert other["choice"] == "no_such_agent"
    assert other["probabilities"]["no_such_agent"] == 0.93
    assert sum(other["probabilities"].values()) == pytest.approx(1, abs=0.02)


async def test_an_answer_of_another_type(emulator: Emulator) -> None:
    assert (await spoilt(emulator, "wrong_type"))["answers"]["agent"]["type"] == "noul"
    named = await spoilt(emulator, "wrong_type", question="clarify")
    assert named["answers"]["clarify"]["type"] == "score"


async def test_an_answer_to_a_question_not_asked(emulator: Emulator) -> None:
    answers = (await spoilt(emulator, "unasked_question"))["answers"]
    assert set(answers) == {*QUESTIONS, "no_such_question"}


async def test_a_usage_without_output_tokens(emulator: Emulator) -> None:
    assert set((await spoilt(emulator, "no_output_tokens"))["usage"]) == {"input_tokens"}


async def test_the_first_question_is_spoilt_where_there_is_no_choice(emulator: Emulator) -> None:
    await emulator.fault(kind="wrong_type")
    result = await decide(emulator, asked(VPN, {"sure": CLARIFY, "severity": SEVERITY}))
    assert [each["type"] for each in result["answers"].values()] == ["score", "score"]


async def test_the_same_faults_in_openais_format(emulator: Emulator) -> None:
    async def answers(kind: str, **fields: Any) -> Any:
        await emulator.fault("gpt-6-luna", kind=kind, **fields)
        return json.loads((await openai(emulator)).content)

    assert len((await answers("missing_question"))["answers"]) == len(BODY["questions"]) - 1
    refused = await answers("refusal", question="agent")
    assert refused["answers"][0] == {"type": "refusal", "name": "agent"}
    unnamed = (await answers("refusal", question="1"))["answers"]
    assert unnamed[1] == {"type": "refusal", "name": None}
    listed = (await answers("unknown_option"))["answers"][0]["probabilities"]
    assert listed[-1] == {"value": "no_such_option", "probability": 0.5}
    assert math.isnan(
        (await answers("nan_probability"))["answers"][0]["probabilities"][0]["probability"]
    )
    assert (await answers("wrong_type"))["answers"][0]["type"] == "predicate"
    assert (await answers("unasked_question"))["answers"][-1]["name"] == "no_such_question"
    assert set((await answers("no_output_tokens"))["usage"]) == {
        "input_tokens",
        "input_tokens_details",
    }
    assert (await answers("empty"))["answers"] == []
    assert (await answers("wrong_json"))["label"] == "blue"


@pytest.mark.parametrize("kind", sorted(DECISION_KINDS))
async def test_a_text_model_is_not_changed_by_them(emulator: Emulator, kind: str) -> None:
    sound = await emulator.run()
    await emulator.fault(kind=kind)
    assert (await emulator.run()).content == sound.content


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "missing_question", "question": 1}, "id of a question"),
        ({"kind": "wrong_sum", "sum": "3"}, "from 0 to 1000"),
        ({"kind": "refusal", "sum": 3}, "has no field 'sum'"),
    ],
)
async def test_senseless_fields(emulator: Emulator, fault: Json, words: str) -> None:
    answer = await emulator.client.put("/_local/faults", json={"*": fault})
    assert (answer.status_code, words in answer.text) == (400, True)


def test_every_kind_is_tried_here() -> None:
    files = (Path(__file__), Path(__file__).with_name("test_embeddings.py"))
    text = "".join(file.read_text() for file in files)
    assert [kind for kind in FIELDS if f'"{kind}"' not in text and kind != "dns"] == []
