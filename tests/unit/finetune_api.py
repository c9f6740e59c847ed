"""Cloudflare's fine-tune API as the Worker meets it: a fetch that remembers finetunes and their
files, and fails on request. And adapters to bring there."""

import json
import struct
from collections import deque
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from edgeneuro.gateway.http import SizedBody
from edgeneuro_testing.fetch import PlayedResponse, ScriptedFetch, ScriptedResponse

GEMMA = "@cf/google/gemma-2b-it-lora"
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_HIDDEN, _LAYERS = 2048, 18
BOUNDARY = "a-boundary"


class FinetuneApi:
    """`fail` enqueues what becomes of the calls to come, by their kind: "list", "create" or
    "assets"; an Exception is thrown, a number is the status of an error, None lets one through.
    `lose_answer` does what is asked before it fails."""

    def __init__(self) -> None:
        self.finetunes: list[dict[str, Any]] = []
        self.files: dict[tuple[str, str], bytes] = {}
        self.calls: list[str] = []
        self.tokens: set[str | None] = set()
        self.lose_answer = False
        self._failures: dict[str, deque[int | Exception | None]] = {}

    def fail(self, kind: str, *steps: int | Exception | None) -> None:
        self._failures.setdefault(kind, deque()).extend(steps)

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | SizedBody, /
    ) -> PlayedResponse:
        content = body if isinstance(body, bytes) else await _whole(body)
        path = (
            urlsplit(url).path.removeprefix("/client/v4/accounts/account/ai/finetunes").strip("/")
        )
        kind = "list" if method == "GET" else "assets" if path else "create"
        self.calls.append(kind)
        self.tokens.add(headers.get("authorization"))
        waiting = self._failures.get(kind)
        failure = waiting.popleft() if waiting else None
        answer = None
        if failure is None or self.lose_answer:
            answer = self._do(kind, path.partition("/")[0], content)
        if isinstance(failure, Exception):
            raise failure
        if failure is not None:
            answer = _answer(failure, {"errors": [{"code": 1000, "message": "Something is wrong"}]})
        assert answer is not None
        return PlayedResponse(answer, ScriptedFetch())

    def _do(self, kind: str, finetune_id: str, content: bytes) -> ScriptedResponse:
        if kind == "list":
            return _answer(200, {"result": self.finetunes})
        if kind == "create":
            fields = json.loads(content)
            made = {**fields, "id": f"ft-{len(self.finetunes) + 1}"}
            self.finetunes.append(made)
            return _answer(200, {"result": made})
        name, file = read_asset(content)
        if (finetune_id, name) in self.files:
            return _answer(400, {"errors": [{"code": 1001, "message": "File already exists"}]})
        self.files[finetune_id, name] = file
        return _answer(200, {"success": True, "result": None})


async def _whole(body: SizedBody) -> bytes:
    content = b"".join([chunk async for chunk in body.chunks])
    assert len(content) == body.size
    return content


def _answer(status: int, body: Any) -> ScriptedResponse:
    return ScriptedResponse(status, (json.dumps(body).encode(),))


def read_asset(content: bytes) -> tuple[str, bytes]:
    """The file's name and content of a form with the fields `file_name` and `file`."""
    boundary, _, rest = content.partition(b"\r\n")
    first, second, end = rest.split(b"\r\n" + boundary)
    assert b'name="file_name"' in first
    assert b'name="file"' in second
    assert end == b"--\r\n"
    name = first.partition(b"\r\n\r\n")[2].decode()
    return name, second.partition(b"\r\n\r\n")[2]


def config_file(**changes: Any) -> bytes:
    fields = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "google/gemma-2b-it",
        "model_type": "gemma",
        "r": 8,
        "lora_alpha": 16,
        "target_modules": ["q_proj"],
        "bias": "none",
    }
    return json.dumps({**fields, **changes}).encode()


def weights_file(rank: int = 8, *, layers: int = _LAYERS, filler: bytes = b"\0") -> bytes:
    """LoRA's two matrices for q_proj of every layer, in half precision."""
    header: dict[str, Any] = {}
    at = 0
    for layer in range(layers):
        for name, shape in (("A", [rank, _HIDDEN]), ("B", [_HIDDEN, rank])):
            key = f"base_model.model.model.layers.{layer}.self_attn.q_proj.lora_{name}.weight"
            end = at + rank * _HIDDEN * 2
            header[key] = {"dtype": "F16", "shape": shape, "data_offsets": [at, end]}
            at = end
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + filler * at


def form(fields: Mapping[str, str], files: Mapping[str, bytes]) -> bytes:
    """A multipart/form-data body with this boundary."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    for name, content in files.items():
        disposition = f'Content-Disposition: form-data; name="{name}"; filename="{name}"'
        head = f"--{BOUNDARY}\r\n{disposition}\r\nContent-Type: application/octet-stream\r\n\r\n"
        parts += [head.encode(), content, b"\r\n"]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
