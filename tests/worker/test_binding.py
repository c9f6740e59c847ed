"""local/binding/worker.mjs in workerd: what a Worker sees of env.AI and env.OUTBOUND here."""

import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts import paths
from scripts.children import start_local_ai, write_ai_worker
from scripts.options import Options
from scripts.processes import Child, end_all
from scripts.product import wait_until_ready
from scripts.wrangler import environment, wrangler
from tests.waiting import until
from tests.worker.product import free_port

CALLER = Path(__file__).parent / "binding_caller.mjs"
EVERYBODY, AGENTS = "*", "host:agents.example.com"


@dataclass
class Caller:
    worker: httpx.Client
    emulator: httpx.Client

    def call(self, name: str, status: int = 200) -> Any:
        answer = self.worker.get(f"/{name}")
        assert answer.status_code == status, answer.text
        return answer.json()

    def fault(self, name: str, **fault: Any) -> None:
        self.emulator.put("/_local/faults", json={name: fault}).raise_for_status()

    def last_call(self) -> dict[str, Any]:
        """Once it has ended, which the emulator may learn a little after the caller."""

        def look() -> dict[str, Any]:
            call: dict[str, Any] = self.emulator.get("/_local/calls").json()[-1]
            return call

        return until(look, lambda call: call["ended"] is not None)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    options = Options(free_port(), "unused-token", tmp_path_factory.mktemp("binding"))
    options.notes.mkdir()
    ai_url = f"http://127.0.0.1:{free_port()}"
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv("LOCAL_AI_ENGINE", "emulated")
        children = [start_local_ai(options, ai_url)]
    try:
        wait_until_ready(children, [f"{ai_url}/healthz"])
        children.append(start_caller(options, ai_url))
        wait_until_ready(children, [f"{options.base_url}/redirect"])
        yield options.base_url, ai_url
    finally:
        end_all(children)


def start_caller(options: Options, ai_url: str) -> Child:
    main_config = tomllib.loads(paths.WRANGLER_CONFIG.read_text())
    config = {
        "name": "caller",
        "main": str(CALLER),
        "compatibility_date": main_config["compatibility_date"],
        "compatibility_flags": ["enable_abortsignal_rpc"],
        "services": main_config["env"]["local"]["services"],
    }
    path = options.notes / "caller.json"
    path.write_text(json.dumps(config))
    words: list[str | Path] = ["dev", "--persist-to", options.state, "--inspector-port", "0"]
    words += ["--config", path, "--config", write_ai_worker(options, ai_url)]
    words += ["--port", str(options.port), "--show-interactive-dev-session=false"]
    return Child.start(
        "The caller",
        wrangler(*words),
        environment=environment(options.state),
        log=options.notes / "wrangler.log",
    )


@pytest.fixture
def caller(running: tuple[str, str]) -> Iterator[Caller]:
    base_url, ai_url = running
    with (
        httpx.Client(base_url=base_url, timeout=30) as worker,
        httpx.Client(base_url=ai_url, timeout=30) as emulator,
    ):
        yield Caller(worker, emulator)
        emulator.delete("/_local/faults").raise_for_status()


def test_a_stream_reaches_the_worker(caller: Caller) -> None:
    answer = caller.call("stream")
    assert answer["type"] == "text/event-stream"
    assert answer["text"].endswith("data: [DONE]\n\n")


def test_a_decision_model_answers_the_worker(caller: Caller) -> None:
    body = caller.call("decision")
    assert (body["model"], body["metadata"]["engine"]) == ("clef", "emulated")
    assert body["answers"]["agent"]["choice"] == "it"
    assert body["usage"]["output_tokens"] == 0
    assert caller.last_call()["gateway"] == "edge"


def test_a_decision_models_refusal_is_thrown(caller: Caller) -> None:
    thrown = caller.call("decision_refused", 500)
    assert thrown["message"].startswith("5006: ")


def test_cancelling_a_stream_hangs_up_on_the_model(caller: Caller) -> None:
    caller.fault(EVERYBODY, kind="stall")
    assert caller.call("cancel")["first"].startswith("data: ")
    assert caller.last_call()["ended"] == "client_gone"


def test_a_signal_hangs_up_on_a_model_that_says_nothing(caller: Caller) -> None:
    caller.fault(EVERYBODY, kind="hang")
    assert caller.call("signal", 500)["name"] in ("AbortError", "TimeoutError")
    assert caller.last_call()["ended"] == "client_gone"


def test_a_log_is_patched_and_read(caller: Caller) -> None:
    answer = caller.call("feedback")
    assert (answer["log"]["feedback"], answer["log"]["score"]) == (-1, 30)
    assert answer["log"]["metadata"] == {"agent": "it"}
    assert "request_head" not in answer["log"]
    assert answer["url"] == "https://gateway.ai.cloudflare.com/v1/local/edge/openai/"


def test_an_unknown_log(caller: Caller) -> None:
    assert caller.call("unknown_log", 500)["name"] == "AiGatewayLogNotFound"


def test_outbound_passes_headers_and_body(caller: Caller) -> None:
    answer = caller.call("outbound")
    assert answer["choices"][0]["message"]["content"].startswith("I am it, an agent")
    call = caller.last_call()
    assert (call["host"], call["path"]) == ("agents.example.com", "/openai/it")
    assert call["headers"]["x-edgeneuro-signature"] == "t=1,v1=abc"
    assert json.loads(call["body"])["messages"][0]["content"] == "hello"


def test_cancelling_an_outbound_stream_is_seen_there(caller: Caller) -> None:
    caller.fault(AGENTS, kind="stall")
    assert caller.call("outbound_cancel")["first"].startswith("data: ")
    assert caller.last_call()["ended"] == "client_gone"


def test_a_signal_ends_an_outbound_call(caller: Caller) -> None:
    caller.fault(AGENTS, kind="hang")
    assert caller.call("outbound_signal", 500)["name"] == "TimeoutError"
    assert caller.last_call()["ended"] == "client_gone"


def test_a_streamed_file_goes_out(caller: Caller) -> None:
    assert caller.call("outbound_upload") == {"success": True}
    call = caller.last_call()
    assert call["path"].endswith("/finetune-assets")
    assert 20_000_000 < call["size"] < 20_001_000
    assert call["body"] is None


def test_a_redirect_is_the_callers_to_follow(caller: Caller) -> None:
    assert caller.call("redirect") == {"status": 302, "location": "http://127.0.0.1/"}


def test_what_cannot_be_reached_throws_as_workerd_does(caller: Caller) -> None:
    assert caller.call("nowhere", 500)["message"] == "internal error"
    caller.fault(AGENTS, kind="refuse")
    assert caller.call("outbound", 500)["message"] == "Network connection lost."


def test_a_body_that_breaks_off_cannot_be_read(caller: Caller) -> None:
    caller.fault(AGENTS, kind="cut")
    assert caller.call("outbound", 500)["message"] == "Network connection lost."
    assert caller.last_call()["ended"] == "cut"
