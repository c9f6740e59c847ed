"""The load generators of bench/load.py: wrk if it is installed, else bench/load_client.mjs."""

import json
import math
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from scripts.wrangler import node

CLIENT = Path(__file__).with_name("load_client.mjs")
UNIQUE = "NNN"  # in a body: becomes another text with each request
_MARGIN_SECONDS = 60
# `bodies` are sent in turn. wrk's own clock gives latencies in microseconds.
_LUA = """
local bodies, headers, path, method = {%(bodies)s}, {%(headers)s}, %(path)s, %(method)s
local run, sent = %(run)s, 0
request = function()
  sent = sent + 1
  local body = bodies[sent %% #bodies + 1]
  if body then body = string.gsub(body, "NNN", run .. sent) end
  return wrk.format(method, path, headers, body)
end
done = function(summary, latency)
  local errors = summary.errors
  local bad = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  io.write(string.format("RESULT[%%d, %%.6f, %%d, %%.4f, %%.4f]", summary.requests,
    summary.duration / 1e6, bad, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


@dataclass(frozen=True)
class Load:
    """What is sent: a GET without `bodies`, else POSTs of them in turn."""

    url: str
    bodies: Sequence[str] = ()
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def method(self) -> str:
        return "POST" if self.bodies else "GET"

    def some(self, count: int) -> list[str]:
        """So many bodies in turn, from a random one on."""
        first = secrets.randbelow(len(self.bodies))
        return [
            self.bodies[(first + number) % len(self.bodies)].replace(UNIQUE, secrets.token_hex(8))
            for number in range(count)
        ]


@dataclass(frozen=True)
class Measured:
    """`p50` and `p99` are of the response times, in ms; `bad` are errors and other statuses than
    200."""

    requests: int
    seconds: float
    bad: int
    p50: float
    p99: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def generator_name() -> str:
    return "wrk" if shutil.which("wrk") else CLIENT.name


def generate(load: Load, *, connections: int, seconds: float) -> Measured:
    """Raises RuntimeError if the generator fails, or no request was answered."""
    run = _wrk if shutil.which("wrk") else _client
    measured = run(load, connections, seconds)
    if not measured.requests:
        raise RuntimeError(f"{load.url} answered no request")
    return measured


def _wrk(load: Load, connections: int, seconds: float) -> Measured:
    parts = urlsplit(load.url)
    script = _LUA % {
        "bodies": ", ".join(map(_lua, load.bodies)),
        "headers": ", ".join(
            f"[{_lua(name)}] = {_lua(text)}" for name, text in load.headers.items()
        ),
        "path": _lua(parts.path or "/"),
        "method": _lua(load.method),
        "run": _lua(secrets.token_hex(6)),
    }
    with tempfile.NamedTemporaryFile("w", suffix=".lua", encoding="utf-8") as file:
        file.write(script)
        file.flush()
        words = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", file.name]
        output = _output([*words, load.url], seconds)
    found = re.search(r"RESULT(\[.*\])", output)
    if found is None:
        raise RuntimeError(f"wrk: {output}")
    return Measured(*json.loads(found.group(1)))


def _lua(text: str) -> str:
    """The text as Lua's string."""
    return '"' + "".join(f"\\{byte:03d}" for byte in text.encode()) + '"'


def _client(load: Load, connections: int, seconds: float) -> Measured:
    parts = urlsplit(load.url)
    given = {
        "host": parts.hostname,
        "port": parts.port,
        "path": parts.path or "/",
        "method": load.method,
        "headers": load.headers,
        "run": secrets.token_hex(6),
        "bodies": list(load.bodies),
        "connections": connections,
        "seconds": seconds,
    }
    result = json.loads(_output([str(node()), str(CLIENT), json.dumps(given)], seconds))
    ms = result.pop("ms") or [0.0]
    return Measured(**result, p50=_rank(ms, 50), p99=_rank(ms, 99))


def _rank(values: Sequence[float], percent: int) -> float:
    """The nearest rank; `values` are sorted."""
    return values[max(0, math.ceil(len(values) * percent / 100) - 1)]


def _output(words: list[str], seconds: float) -> str:
    ended = subprocess.run(
        words, capture_output=True, text=True, timeout=seconds + _MARGIN_SECONDS, check=False
    )
    if ended.returncode:
        raise RuntimeError(f"{words[0]}: {ended.stderr or ended.stdout}")
    return ended.stdout
