"""One request to an ASGI application, part by part, with a client that can hang up."""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Any

from starlette.applications import Starlette


class Exchange:
    """`async with` sends the request; leaving the block hangs up."""

    def __init__(self, app: Starlette, path: str, body: Any) -> None:
        self._app = app
        self._scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [],
            "client": ("127.0.0.1", 1),
        }
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._sent: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        content = json.dumps(body).encode()
        self._incoming.put_nowait({"type": "http.request", "body": content, "more_body": False})

    async def __aenter__(self) -> Exchange:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._incoming.put_nowait({"type": "http.disconnect"})
        await self._task

    async def part(self) -> bytes:
        """The next bytes of the body; b"" at its end."""
        while message := await self._sent.get():
            if message["type"] == "http.response.body":
                return bytes(message["body"])
        return b""

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._incoming.get, self._send)
        finally:
            self._sent.put_nowait(None)

    async def _send(self, message: Any) -> None:
        self._sent.put_nowait(message)
