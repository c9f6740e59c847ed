"""What the Worker's isolate holds, read through the debugger that workerd serves locally: the bytes
of JavaScript and of Python, and the references between them. The Worker has no code for it."""

import base64
import json
import os
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from tests.worker.listening import debugger_url

_WORKER = "core:user:edgeneuro-local"
_WAKES_SECONDS = 0.1
_TRIES = 100
_TEXT, _CLOSE = 1, 8
_OPCODE, _LENGTH = 0x0F, 0x7F

# One of the instances is Python, the others are its libraries.
_FIND = "function () { return this.map((each) => each.exports).find((each) => each.mallinfo); }"
# mallinfo() writes ten integers. The eighth is the bytes in use, which the size of WebAssembly's
# memory does not show: that grows in large steps.
_READ = """function () {
  this.PyGC_Collect();
  const info = this.malloc(40);
  this.mallinfo(info);
  const used = new Int32Array(this.memory.buffer)[info / 4 + 7];
  this.free(info);
  return {used, size: this.memory.buffer.byteLength, references: this.hiwire_num_refs()};
}"""
Call = tuple[str, dict[str, object]]


@dataclass(frozen=True)
class Held:
    """After full collections of both languages. `references` are the objects of JavaScript that
    Python holds; `memory_bytes` is the size of WebAssembly's memory, which never shrinks, of which
    `python_bytes` are in use."""

    javascript_bytes: int
    python_bytes: int
    memory_bytes: int
    references: int


class Inspector:
    """A session with the debugger of the product's Worker. `process_id` is a process above its
    workerd or that itself."""

    def __init__(self, base_url: str, process_id: int) -> None:
        self._base_url = base_url
        self._calls = 0
        self._session = _WebSocket(debugger_url(process_id, _WORKER))
        self._context = 0
        self._python = self._find_python()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._session.close()

    def held(self) -> Held:
        """Twice: what one language lets go may be the last reference to an object of the other."""
        collect: Call = ("HeapProfiler.collectGarbage", {})
        read: Call = (
            "Runtime.callFunctionOn",
            {"objectId": self._python, "functionDeclaration": _READ, "returnByValue": True},
        )
        usage: Call = ("Runtime.getHeapUsage", {})
        self._call(collect)  # by itself: its reply comes after those of later calls
        self._call(read, collect)
        python, _ = self._call(read, collect)
        [heap] = self._call(usage)
        found = python["result"]["value"]
        return Held(int(heap["usedSize"]), found["used"], found["size"], found["references"])

    def _find_python(self) -> str:
        self._call(("Runtime.enable", {}))  # the debugger says by which number it knows the Worker
        expression = {"expression": "WebAssembly.Instance.prototype", "contextId": self._context}
        [prototype] = self._call(("Runtime.evaluate", expression))
        of_it = {"prototypeObjectId": prototype["result"]["objectId"]}
        [found] = self._call(("Runtime.queryObjects", of_it))
        finding = {"objectId": found["objects"]["objectId"], "functionDeclaration": _FIND}
        [python] = self._call(("Runtime.callFunctionOn", finding))
        return str(python["result"]["objectId"])

    def _call(self, *calls: Call) -> list[Any]:
        """The results, in order."""
        first = self._calls + 1
        self._calls += len(calls)
        for number, (method, parameters) in enumerate(calls, first):
            call = {"id": number, "method": method, "params": parameters}
            self._session.send(json.dumps(call))
        results: dict[int, Any] = {}
        for _ in range(_TRIES):
            # workerd reads a message to an isolate only while that handles a request.
            httpx.get(f"{self._base_url}/healthz", timeout=10)
            while (message := self._session.receive()) is not None:
                reply = json.loads(message)
                if reply.get("method") == "Runtime.executionContextCreated":
                    self._context = reply["params"]["context"]["id"]
                if reply.get("id", 0) >= first:
                    if "error" in reply or "exceptionDetails" in reply["result"]:
                        raise RuntimeError(message)
                    results[reply["id"]] = reply["result"]
                if len(results) == len(calls):
                    return [results[number] for number in sorted(results)]
        raise TimeoutError(f"no reply to {calls}")


class _WebSocket:
    """As much of RFC 6455 as that takes: short texts out, texts in."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname, address.port))
        self._received = b""
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._socket.settimeout(10)
        while b"\r\n\r\n" not in self._received:
            self._read()
        _, _, self._received = self._received.partition(b"\r\n\r\n")
        self._socket.settimeout(_WAKES_SECONDS)

    def send(self, text: str) -> None:
        content = text.encode()
        mask = bytes(4)  # any mask is valid: this one leaves the content as it is
        head = bytes([0x80 | _TEXT, 0x80 | 126]) + len(content).to_bytes(2) + mask
        self._socket.sendall(head + content)

    def receive(self) -> str | None:
        """The next text; None if none arrives soon."""
        while True:
            try:
                size = self._at_least(2)[1] & _LENGTH
                head = {126: 4, 127: 10}.get(size, 2)
                if head > 2:
                    size = int.from_bytes(self._at_least(head)[2:head])
                frame = self._at_least(head + size)[: head + size]
            except TimeoutError:
                return None
            self._received = self._received[head + size :]
            if frame[0] & _OPCODE == _CLOSE:
                raise ConnectionError(f"the debugger closed the session: {frame[head:]!r}")
            if frame[0] & _OPCODE == _TEXT:
                return frame[head:].decode()

    def close(self) -> None:
        self._socket.close()

    def _at_least(self, size: int) -> bytes:
        while len(self._received) < size:
            self._read()
        return self._received

    def _read(self) -> None:
        content = self._socket.recv(65536)
        if not content:
            raise ConnectionError("the debugger closed the session")
        self._received += content
