"""Faults and the log of calls, over the control API."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from local.answers import ConnectionDropped
from local.app import build_app
from local.calls import Origin
from local.faults import FIELDS
from tests.local.emulator import GLM, HELLO, LLAMA, RUN, Emulator, build_emulator
from tests.local.test_workers_ai import JSON_MODE, ROUTER

ROUTE = {"messages": ROUTER, "response_format": JSON_MODE}


async def response(emulator: Emulator, inputs: Any = ROUTE) -> Any:
    return (await emulator.run(inputs)).json()["result"]["response"]


async def test_error(emulator: Emulator) -> None:
    await emulator.fault(kind="error", code=3040, retry_after=2)
    answer = await emulator.run()
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "2"
    assert answer.json()["errors"][0]["code"] == 3040


async def test_status_has_a_body_that_is_no_json(emulator: Emulator) -> None:
    await emulator.fault(kind="status", status=503)
    answer = await emulator.run()
    assert answer.status_code == 503
    assert answer.headers["content-type"].startswith("text/plain")


async def test_slow_then_right(emulator: Emulator) -> None:
    await emulator.fault(kind="slow", delay_ms=400)
    assert (await response(emulator))["agent"] == "it"
    assert emulator.time.naps == [0.4]


async def test_malformed_json(emulator: Emulator) -> None:
    await emulator.fault(kind="malformed_json")
    answer = await emulator.run()
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    with pytest.raises(json.JSONDecodeError):
        answer.json()


async def test_reject(emulator: Emulator) -> None:
    await emulator.fault(kind="reject")
    answer = await emulator.run()
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, 5006)


async def test_truncated_json_is_the_models_own_in_a_sound_body(emulator: Emulator) -> None:
    await emulator.fault(kind="truncated_json")
    said = await response(emulator)
    assert said.startswith('{"agent": "it"')
    with pytest.raises(json.JSONDecodeError):
        json.loads(said)
    choice = (await emulator.run(ROUTE, GLM)).json()["result"]["choices"][0]
    assert choice["finish_reason"] == "length"
    assert choice["message"]["content"] == said


async def test_huge(emulator: Emulator) -> None:
    await emulator.fault(kind="huge", bytes=200_000)
    assert len(await response(emulator)) == 200_000
    streamed = await emulator.run({**HELLO, "stream": True})
    assert 200_000 < len(streamed.content) < 210_000


async def test_what_the_model_says(emulator: Emulator) -> None:
    await emulator.fault(kind="invalid_answer")
    assert "elephants" in await response(emulator)
    await emulator.fault(kind="unknown_agent")
    assert (await response(emulator))["agent"] == "no_such_agent"
    await emulator.fault(kind="wrong_json")
    assert "agent" not in await response(emulator)
    await emulator.fault(kind="empty")
    assert await response(emulator) == ""
    await emulator.fault(kind="text", answer='Here: {"agent": "it"}')
    assert await response(emulator) == 'Here: {"agent": "it"}'


async def test_what_a_newer_model_says(emulator: Emulator) -> None:
    await emulator.fault(GLM, kind="unknown_agent")
    answer = await emulator.run(ROUTE, GLM)
    content = answer.json()["result"]["choices"][0]["message"]["content"]
    assert json.loads(content)["agent"] == "no_such_agent"


async def test_refuse_reaches_the_server(emulator: Emulator) -> None:
    await emulator.fault(kind="refuse")
    with pytest.raises(ConnectionDropped):
        await emulator.run()


async def test_hang_is_bounded(emulator: Emulator) -> None:
    await emulator.fault(kind="hang")
    with pytest.raises(ConnectionDropped):
        await emulator.run()
    assert emulator.time.naps == [120.0]


async def test_hang_ends_when_the_client_goes_away(emulator: Emulator) -> None:
    emulator.time.endless = True
    await emulator.fault(kind="hang")
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": json.dumps(HELLO).encode(), "more_body": False},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        return None

    path = f"{RUN}/{LLAMA}"
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
    }
    await build_app(emulator.gateway)(scope, receive, send)
    call = (await emulator.calls())[0]
    assert (call["status"], call["ended"]) == (None, "client_gone")
    assert len(asyncio.all_tasks()) == 1


async def test_a_fault_with_times_wears_out(emulator: Emulator) -> None:
    await emulator.fault(kind="error", code=3043, times=2)
    assert [(await emulator.run()).status_code for _ in range(3)] == [500, 500, 200]
    assert (await emulator.client.get("/_local/faults")).json() == {}


async def test_a_share_is_counted_and_not_drawn(emulator: Emulator) -> None:
    await emulator.fault(kind="error", code=3043, share=0.3)
    statuses = [(await emulator.run()).status_code for _ in range(20)]
    assert [at for at, status in enumerate(statuses, 1) if status == 500] == [4, 7, 10, 14, 17, 20]
    await emulator.fault(kind="error", code=3043, share=0.1, times=1)
    assert [(await emulator.run()).status_code for _ in range(10)] == [200] * 9 + [500]
    assert (await emulator.client.get("/_local/faults")).json() == {}


async def test_a_models_own_fault_goes_before_the_general_one(emulator: Emulator) -> None:
    faults = {LLAMA: {"kind": "error", "code": 3040, "times": 1}, "*": {"kind": "empty"}}
    await emulator.client.put("/_local/faults", json=faults)
    assert (await emulator.client.get("/_local/faults")).json() == faults
    assert (await emulator.run()).status_code == 429
    assert await response(emulator, HELLO) == ""


async def test_put_replaces_and_delete_clears(emulator: Emulator) -> None:
    await emulator.fault(LLAMA, kind="error", code=3040)
    await emulator.fault(GLM, kind="empty")
    assert (await emulator.run()).status_code == 200
    assert (await emulator.client.delete("/_local/faults")).status_code == 204
    assert (await emulator.client.get("/_local/faults")).json() == {}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (3, "must be an object"),
        ({}, "kind None is unknown"),
        ({"kind": "explode"}, "known are error"),
        ({"kind": "error"}, "needs the field 'code'"),
        ({"kind": "error", "code": 1}, "must be one of 2009"),
        ({"kind": "error", "code": "3040"}, "must be one of"),
        ({"kind": "status", "status": 200}, "from 400 to 599"),
        ({"kind": "slow", "delay_ms": -1}, "from 0 to 120000"),
        ({"kind": "text", "answer": 1}, "must be a text"),
        ({"kind": "empty", "times": 0}, "whole number from 1"),
        ({"kind": "empty", "times": True}, "whole number from 1"),
        ({"kind": "empty", "code": 3040}, "has no field 'code'"),
        ({"kind": "error", "code": 3040, "retry_after": -1}, "number of seconds"),
        ({"kind": "empty", "share": 1.5}, "from 0 to 1"),
        ({"kind": "cut", "after": 0}, "from 1 to 10000"),
        ({"kind": "cut", "abrupt": 1}, "true or false"),
        ({"kind": "drip"}, "needs the field 'delay_ms'"),
        ({"kind": "huge", "bytes": 0}, "from 1 to 100000000"),
        ({"kind": "dns"}, "is for a host"),
    ],
)
async def test_senseless_faults_are_refused_and_change_nothing(
    emulator: Emulator, fault: Any, words: str
) -> None:
    await emulator.fault(kind="empty")
    answer = await emulator.client.put("/_local/faults", json={"*": fault})
    assert answer.status_code == 400
    message = answer.json()["error"]["message"]
    assert words in message
    assert message.endswith(".")
    assert (await emulator.client.get("/_local/faults")).json() == {"*": {"kind": "empty"}}


@pytest.mark.parametrize("content", ["[1]", "{", "3"])
async def test_faults_that_are_no_object(emulator: Emulator, content: str) -> None:
    assert (await emulator.client.put("/_local/faults", content=content)).status_code == 400


async def test_calls_are_kept_without_credentials(emulator: Emulator) -> None:
    await emulator.run()
    metadata = json.dumps({"a": 1, "b": "two", "c": True, "d": 4, "e": 5, "f": 6})
    await emulator.ask(metadata=metadata, authorization="Bearer secret", collect_log="false")
    direct, through = await emulator.calls()
    assert direct == {
        "model": LLAMA,
        "gateway": None,
        "path": f"{RUN}/{LLAMA}",
        "headers": {},
        "metadata": {},
        "inputs": HELLO,
        "status": 200,
        "ended": "complete",
        "host": None,
        "method": "POST",
        "body": None,
        "size": None,
    }
    assert through["gateway"] == "gw"
    assert through["metadata"] == {"a": 1, "b": "two", "c": True, "d": 4, "e": 5}
    assert through["headers"]["cf-aig-collect-log"] == "false"
    assert "secret" not in json.dumps(through)
    assert (await emulator.client.delete("/_local/calls")).status_code == 204
    assert await emulator.calls() == []


@pytest.mark.parametrize("metadata", ['{"a": 1, "b": null}', '{"a": {"b": 1}}', "[1]", "x"])
async def test_metadata_with_a_bad_value_is_lost_whole(emulator: Emulator, metadata: str) -> None:
    await emulator.ask(metadata=metadata)
    assert (await emulator.calls())[0]["metadata"] == {}


async def test_the_last_thousand_calls_are_kept(emulator: Emulator) -> None:
    for _ in range(1_001):
        emulator.gateway.workers_ai.serving.calls.open(LLAMA, None, Origin("/x"))
    assert len(await emulator.calls()) == 1_000


async def test_controls_answer_to_this_machine_only() -> None:
    for host, status in (("10.0.0.7", 403), ("testclient", 403), ("::1", 200)):
        emulator = build_emulator(client_host=host)
        async with emulator.client:
            assert (await emulator.client.get("/_local/faults")).status_code == status
            rebound = await emulator.client.get(
                "/_local/faults", headers={"host": "rebound.example"}
            )
            assert rebound.status_code == 403
            assert (await emulator.run()).status_code == 200


def test_the_readme_names_every_kind() -> None:
    readme = (Path(__file__).parents[2] / "local" / "README.md").read_text()
    assert [kind for kind in FIELDS if f"\n| `{kind}` |" not in readme] == []
