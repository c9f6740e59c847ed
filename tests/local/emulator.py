"""An emulator in process for the tests: fixed clock, naps written down instead of taken."""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from local.adapters import Adapters
from local.ai_gateway import AiGateway
from local.app import build_app
from local.cache import Cache
from local.engines import Engine
from local.engines.emulated import EmulatedEngine
from local.finetunes import FinetuneStore
from local.rate_limit import RateLimiter
from local.serving import Serving
from local.workers_ai import WorkersAi

LLAMA = "@cf/meta/llama-3.2-1b-instruct"
GLM = "@cf/zai-org/glm-4.7-flash"
NO_JSON_MODE = "@cf/meta/llama-3.1-8b-instruct-fp8"
MISTRAL_LORA = "@cf/mistral/mistral-7b-instruct-v0.2-lora"
RUN = "/client/v4/accounts/acc/ai/run"
GATEWAY = "/v1/acc/gw"

Json = dict[str, Any]
HELLO: Json = {"messages": [{"role": "user", "content": "hello"}]}


@dataclass
class Time:
    now: float = 1_795_340_985.0  # 15 s before the end of a minute
    naps: list[float] = field(default_factory=list)
    endless: bool = False  # a nap never ends, as with a hanging model

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        if self.endless:
            await asyncio.Event().wait()


@dataclass
class Emulator:
    gateway: AiGateway
    client: httpx.AsyncClient
    time: Time

    async def run(self, inputs: Json = HELLO, model: str = LLAMA) -> httpx.Response:
        return await self.client.post(f"{RUN}/{model}", json=inputs)

    async def ask(
        self, inputs: Json = HELLO, model: str = LLAMA, **headers: str | int
    ) -> httpx.Response:
        """Through the gateway; keyword cache_ttl=60 is the header cf-aig-cache-ttl: 60."""
        sent = {f"cf-aig-{name.replace('_', '-')}": str(value) for name, value in headers.items()}
        url = f"{GATEWAY}/workers-ai/{model}"
        return await self.client.post(url, json=inputs, headers=sent)

    async def fault(self, model: str = "*", /, **fault: Any) -> None:
        answer = await self.client.put("/_local/faults", json={model: fault})
        assert answer.status_code == 200, answer.text

    async def calls(self) -> list[Json]:
        answer: list[Json] = (await self.client.get("/_local/calls")).json()
        return answer


def build_emulator(
    engine: Engine | None = None,
    *,
    client_host: str = "127.0.0.1",
    finetunes: FinetuneStore | None = None,
) -> Emulator:
    time = Time()
    serving = Serving(sleep=time.sleep, now=time.clock)
    nowhere = Path(tempfile.gettempdir()) / str(uuid.uuid4())  # made with the first finetune
    adapters = Adapters(finetunes or FinetuneStore(nowhere), frozenset({"intent-routing-v1"}))
    workers_ai = WorkersAi(engine or EmulatedEngine(), adapters, serving)
    gateway = AiGateway(
        workers_ai,
        Cache(now=time.clock, capacity=3),
        RateLimiter(now=time.clock),
        now=time.clock,
        sleep=time.sleep,
    )
    transport = httpx.ASGITransport(build_app(gateway), client=(client_host, 1))
    return Emulator(
        gateway, httpx.AsyncClient(transport=transport, base_url="http://localhost"), time
    )
