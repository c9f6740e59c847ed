"""`python -m local`: reads the environment, starts the server and prints its address."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn

from local.adapters import Adapters
from local.ai_gateway import AiGateway
from local.app import build_app, build_engine
from local.demonstration import demonstration_agents
from local.engines.emulated import EmulatedEngine
from local.finetunes import FinetuneStore
from local.settings import Settings, SettingsError, read_settings
from local.workers_ai import WorkersAi


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            print(f"Local AI ready on http://{host}:{port}", flush=True)


def main() -> int:
    try:
        settings = read_settings(os.environ)
        with _finetunes(settings) as finetunes:
            return _serve(settings, Adapters(finetunes, settings.adapters))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2


@contextmanager
def _finetunes(settings: Settings) -> Iterator[FinetuneStore]:
    with tempfile.TemporaryDirectory(prefix="edgeneuro-finetunes-") as temporary:
        folder = settings.finetunes or Path(temporary)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            store = FinetuneStore(folder)
        except (OSError, ValueError, TypeError) as error:
            text = f"LOCAL_AI_FINETUNES is {str(folder)!r}, but cannot be used: {error}."
            raise SettingsError(text) from error
        yield store


def _serve(settings: Settings, adapters: Adapters) -> int:
    engine = build_engine(settings)
    if isinstance(engine, EmulatedEngine):
        engine.prepare(demonstration_agents())  # while the Worker starts
    workers_ai = WorkersAi(engine, adapters)
    config = uvicorn.Config(
        build_app(AiGateway(workers_ai)),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        # Longer than the 5 s for which workerd keeps an idle connection: the one that reuses
        # connections must be the one that closes them, or a request meets a closing one.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,  # a hanging fault must not hold up Ctrl-C
    )
    server = _Server(config)
    with suppress(KeyboardInterrupt):  # uvicorn has shut down in order by then
        server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
