"""The three implementations of Gateway with the same set-up: over the AI binding and over HTTPS to
the same emulator (local/), and the scripted fake."""

from collections.abc import Sequence
from typing import Any

from edgeneuro.gateway.client import build_gateway
from edgeneuro.gateway.interface import Delta, Gateway, ModelAnswer, ModelRequest
from edgeneuro.settings import Settings
from edgeneuro_testing.gateway import ScriptedGateway, Streamed
from local.app import build_app
from tests.local.emulator import LLAMA, Emulator, build_emulator
from tests.unit.upstreams import AsgiFetch, FetchedAi, Script, Switch

NOW = 1_800_000_000.0
SECRETS = {"CLOUDFLARE_API_TOKEN": "cloudflare-token", "AI_GATEWAY_TOKEN": "gateway-token"}
SETTINGS = Settings(
    ai_gateway_url="https://gateway.ai.cloudflare.com/v1/account/edge",
    provider_hosts=("llm.example", "eu.example", "api.example"),
)


def request(**changes: Any) -> ModelRequest:
    fields: dict[str, Any] = {
        "model": LLAMA,
        "adapter": None,
        "messages": [{"role": "user", "content": "hi"}],
        "parameters": {"max_tokens": 64, "temperature": 0, "seed": 1},
        "timeout_ms": 5_000,
        "cache_key": None,
        "cache_ttl_seconds": 3_600,
        "metadata": {"decision_id": "dec_1"},
    }
    return ModelRequest(**{**fields, **changes})


class Way:
    """`gateway` is tested; it calls `emulator`, which is None for the scripted one."""

    def __init__(
        self, gateway: Gateway, emulator: Emulator | None, upstream: Switch | None
    ) -> None:
        self.gateway = gateway
        self._emulator = emulator
        self._upstream = upstream

    async def set_outcome(self, outcome: ModelAnswer | Exception, **fault: Any) -> None:
        """The outcome of the next call; the emulator produces it by this fault."""
        if isinstance(self.gateway, ScriptedGateway):
            self.gateway.enqueue(outcome)
        elif fault:
            assert self._emulator is not None
            await self._emulator.fault(LLAMA, **fault)

    def streams(self, script: Script, parts: Sequence[Delta | Exception]) -> None:
        """The next stream: as the upstream sends it, and the expected deltas."""
        if isinstance(self.gateway, ScriptedGateway):
            self.gateway.enqueue(Streamed(parts))
        else:
            assert self._upstream is not None
            self._upstream.script = script

    def answers(self, content_type: str, script: Script) -> None:
        """The next whole answer, as the upstream sends it."""
        assert self._upstream is not None
        self._upstream.head, self._upstream.script = {"content-type": content_type}, script

    @property
    def is_scripted(self) -> bool:
        return isinstance(self.gateway, ScriptedGateway)

    async def calls(self) -> list[dict[str, Any]]:
        assert self._emulator is not None
        return await self._emulator.calls()

    def endless(self) -> None:
        """The next sleep of the emulator never ends."""
        if self._emulator is not None:
            self._emulator.time.endless = True

    @property
    def stopped(self) -> int:
        if isinstance(self.gateway, ScriptedGateway):
            return self.gateway.stopped
        assert self._upstream is not None
        return self._upstream.stopped


def build_way(name: str) -> Way:
    if name == "scripted":
        return Way(ScriptedGateway(), None, None)
    emulator = build_emulator()
    upstream = Switch(build_app(emulator.gateway))
    gateway = build_gateway(
        SETTINGS,
        binding=FetchedAi(AsgiFetch(upstream)) if name == "binding" else None,
        fetch=AsgiFetch(upstream, outbound=True),
        secret=SECRETS.get,
        now=lambda: NOW,
    )
    return Way(gateway, emulator, upstream)
