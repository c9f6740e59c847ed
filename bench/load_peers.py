"""Other gateways beside the product, for `bench/load.py --peers FOLDER`: those that the folder has,
each with the settings of its own quick start, in one process and without a database. To
install them:

    python3 -m venv FOLDER/litellm && FOLDER/litellm/bin/pip install 'litellm[proxy]'
    python3 -m venv FOLDER/lm-proxy && FOLDER/lm-proxy/bin/pip install lm-proxy
    npm install --prefix FOLDER/portkey @portkey-ai/gateway
"""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.load_generator import Load
from bench.load_places import Place
from scripts.processes import Child, end_all
from scripts.product import free_port, require_running
from scripts.wrangler import node

MODEL = "mock"
_KEY = "sk-load-0123456789"
_READY_SECONDS = 180
_LITELLM = """\
model_list:
  - model_name: mock
    litellm_params: {{model: openai/mock, api_base: "{url}/v1", api_key: none}}
general_settings: {{master_key: {key}}}
"""
_LM_PROXY = """\
host = "127.0.0.1"
port = {port}
[connections.mock]
api_type = "open_ai"
api_base = "{url}/v1"
api_key = "none"
[routing]
"*" = "mock.mock"
[groups.default]
api_keys = ["{key}"]
"""


@dataclass(frozen=True)
class Peer:
    """`words` start it; `{config}` in them becomes the path of a file with the text `config`."""

    name: str
    words: list[str]
    port: int
    config: str = ""
    suffix: str = ".yaml"
    headers: dict[str, str] = field(default_factory=dict)


@contextmanager
def peer_loads(folder: Path, model_url: str) -> Iterator[list[tuple[str, Place, Load]]]:
    """The same chat as the product's named model, to each peer that the folder has."""
    with ExitStack() as stack:
        yield [stack.enter_context(_running(peer)) for peer in _installed(folder, model_url)]


def _installed(folder: Path, model_url: str) -> Iterator[Peer]:
    folder, given = folder.absolute(), {"url": model_url, "key": _KEY}
    if (program := folder / "litellm" / "bin" / "litellm").exists():
        port = free_port()
        words = [str(program), "--config", "{config}", "--port", str(port), "--num_workers", "1"]
        name = f"LiteLLM {_version(program, 'litellm')}, chat"
        yield Peer(name, [*words, "--host", "127.0.0.1"], port, _LITELLM.format(**given))
    if (program := folder / "lm-proxy" / "bin" / "lm-proxy").exists():
        port = free_port()
        config = _LM_PROXY.format(**given, port=port)
        name = f"lm-proxy {_version(program, 'lm_proxy')}, chat"
        yield Peer(name, [str(program), "--config", "{config}"], port, config, ".toml")
    package = folder / "portkey" / "node_modules" / "@portkey-ai" / "gateway"
    if package.exists():
        port = free_port()
        version = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
        words = [str(node()), str(package / "build" / "start-server.js"), "--headless"]
        headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": f"{model_url}/v1"}
        yield Peer(f"Portkey {version}, chat", [*words, f"--port={port}"], port, headers=headers)


def _version(program: Path, name: str) -> str:
    [found] = program.parents[1].glob(f"lib/python*/site-packages/{name}-*.dist-info")
    return found.name.removesuffix(".dist-info").rpartition("-")[2]


@contextmanager
def _running(peer: Peer) -> Iterator[tuple[str, Place, Load]]:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "My VPN does not connect"}]}
    headers = {"authorization": f"Bearer {_KEY}", "content-type": "application/json"}
    url = f"http://127.0.0.1:{peer.port}"
    load = Load(f"{url}/v1/chat/completions", [json.dumps(body)], {**headers, **peer.headers})
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / f"config{peer.suffix}"
        config.write_text(peer.config, encoding="utf-8")
        child = Child.start(
            peer.name,
            [word.replace("{config}", str(config)) for word in peer.words],
            environment=dict(os.environ),
            log=Path(folder) / "peer.log",
        )
        try:
            _wait(child, load)
            yield peer.name, Place(url), load
        finally:
            end_all([child])


def _wait(child: Child, load: Load) -> None:
    """Until it answers. Raises RuntimeError with the end of its log if it does not."""
    until = time.monotonic() + _READY_SECONDS
    problem = ""
    while time.monotonic() < until:
        require_running([child])
        try:
            response = httpx.post(load.url, content=load.bodies[0], headers=load.headers)
        except httpx.HTTPError as error:
            problem = repr(error)
        else:
            if response.status_code == 200:
                return
            problem = response.text
        time.sleep(0.5)
    raise RuntimeError(f"{child.name} does not answer: {problem}\n{child.last_words()}")
