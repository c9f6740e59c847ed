"""The program itself: `python -m local` on a real socket."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.local.emulator import HELLO, LLAMA, RUN
from tests.waiting import until

ROOT = Path(__file__).parents[2]


def start(**env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "local"],
        cwd=ROOT,
        env={**os.environ, "LOCAL_AI_ENGINE": "emulated", "LOCAL_AI_PORT": "0", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def server() -> Iterator[subprocess.Popen[str]]:
    with start() as process:
        yield process
        process.kill()


def test_it_says_where_it_listens_drops_connections_and_ends_quietly(
    server: subprocess.Popen[str],
) -> None:
    assert server.stdout is not None
    ready = server.stdout.readline()
    assert ready.startswith("Local AI ready on http://127.0.0.1:")
    with httpx.Client(base_url=ready.split()[-1]) as client:
        client.put("/_local/faults", json={"*": {"kind": "refuse", "times": 1}})
        with pytest.raises(httpx.HTTPError):
            client.post(f"{RUN}/{LLAMA}", json=HELLO)
        assert client.post(f"{RUN}/{LLAMA}", json=HELLO).status_code == 200
    server.send_signal(signal.SIGINT)
    assert server.communicate() == ("", "")
    assert server.returncode == 0


def test_a_connection_breaks_off_and_a_client_that_leaves_is_noticed(
    server: subprocess.Popen[str],
) -> None:
    assert server.stdout is not None
    with httpx.Client(base_url=server.stdout.readline().split()[-1]) as client:
        client.put("/_local/faults", json={"*": {"kind": "cut", "times": 1}})
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(f"{RUN}/{LLAMA}", json=HELLO)
        client.put("/_local/faults", json={"*": {"kind": "cut", "abrupt": True, "times": 1}})
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(f"{RUN}/{LLAMA}", json={**HELLO, "stream": True})
        client.put("/_local/faults", json={"*": {"kind": "stall"}})
        asked = {**HELLO, "stream": True}
        with client.stream("POST", f"{RUN}/{LLAMA}", json=asked) as response:
            next(response.iter_raw())
        ended = until(lambda: client.get("/_local/calls").json()[-1]["ended"])
        assert ended == "client_gone"
    server.send_signal(signal.SIGINT)
    assert server.communicate() == ("", "")


def test_a_mistake_ends_it_with_2_and_one_sentence() -> None:
    with start(LOCAL_AI_ENGINE="gpt") as process:
        out, err = process.communicate()
    assert process.returncode == 2
    assert out == ""
    assert err.endswith("must be 'minilm', 'emulated', 'openai', 'transformers' or 'dataset'.\n")
    assert err.count("\n") == 1
