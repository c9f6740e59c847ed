"""A small server over real sockets that stands for Cloudflare's API for finetunes, or for a
product: it answers what a test has scripted, in the order of the calls, and remembers the calls."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ROOT = "/client/v4/accounts/acc/ai/finetunes"


@dataclass(frozen=True)
class RecordedRequest:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """`body` goes out as JSON, or as it is where it is bytes. `fails`: "silent" never answers,
    "early" answers before it has read the body, "drop" closes without a word."""

    status: int = 200
    body: Any = None
    fails: str = ""


def ok(result: Any = None) -> Answer:
    return Answer(200, {"success": True, "errors": [], "messages": [], "result": result})


def refused(status: int, message: str, code: int = 7000) -> Answer:
    return Answer(
        status, {"success": False, "errors": [{"code": code, "message": message}], "result": None}
    )


@dataclass
class FakeServer:
    base_url: str
    asked: list[RecordedRequest] = field(default_factory=list)
    script: list[Answer] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def calls(self) -> list[str]:
        return [f"{each.method} {each.path}" for each in self.asked]


@contextmanager
def fake_server() -> Iterator[FakeServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        fake = FakeServer(f"http://127.0.0.1:{server.server_port}")
        server.fake = fake  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield fake
        finally:
            fake.ended.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    disable_nagle_algorithm = True  # an early answer is out before the connection is cut

    def do_GET(self) -> None:
        fake: FakeServer = self.server.fake  # type: ignore[attr-defined]
        answer = fake.script.pop(0) if fake.script else Answer(500, b"nothing is scripted")
        length = int(self.headers.get("content-length", 0))
        body = b"" if answer.fails == "early" else self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        fake.asked.append(RecordedRequest(self.command, self.path, headers, body))
        if answer.fails == "silent":
            fake.ended.wait()
        if answer.fails in ("silent", "drop"):
            self.close_connection = True
            return
        content = (
            answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        )
        self.send_response(answer.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass
