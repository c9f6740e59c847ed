"""Where bench/self_teaching.py runs the product: in workerd, as a user's installation, or in this
process, on a clock of its own, which is some three times as fast."""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

import httpx

from edgeneuro.classifier.vectors import load_table
from edgeneuro.controlplane.jobs.schedule import EVERY_MINUTE, run_scheduled
from edgeneuro.gateway.interface import ModelAnswer, ModelRequest
from edgeneuro.settings import Settings
from edgeneuro_testing.gateway import ScriptedGateway
from edgeneuro_testing.sqlite import SqliteDatabase
from local.engines.dataset_table import DatasetTable
from scripts.cron import MINUTES_CRON, fire, job_waits, running_cron_url
from tests.http_client import http_client
from tests.unit.conftest import ADMIN_TOKEN, SCHEMA, Product
from tests.worker.product import LocalProduct

MODEL = "@cf/meta/llama-3.2-1b-instruct"
_AT_ONCE = 4  # requests to workerd
_JOB_SECONDS = 1_800


class Place(Protocol):
    def call(self, method: str, path: str, body: Any = None, **query: Any) -> dict[str, Any]:
        """Exits with the error if the request fails."""

    def route(self, queries: Sequence[str]) -> list[dict[str, Any]]: ...

    def model_calls(self) -> int:
        """How often the model was called since the last look, for audit samples too."""

    def minute(self) -> float:
        """The minute's cron, then the jobs to their end. Returns the seconds that they took."""

    def stop(self) -> None: ...


class InWorkerd:
    """`known` is the data file of the emulator's engine."""

    def __init__(
        self, folder: Path, known: Path, *, right: float, mistakes: str, seed: int
    ) -> None:
        self._product = LocalProduct(
            folder / "state",
            environment={
                "LOCAL_AI_ENGINE": "dataset",
                "LOCAL_AI_DATA": str(known),
                "LOCAL_AI_RIGHT": str(right),
                "LOCAL_AI_MISTAKES": mistakes,
                "LOCAL_AI_SEED": str(seed),
            },
        )
        self._product.start()
        product = self._product
        # workerd's own address: wrangler's proxy would take a quarter of the CPU.
        self._client = http_client(product.base_url, product.admin_token, timeout=300)
        self._emulator = httpx.Client(base_url=str(product.local_ai_url), timeout=60)
        self._pool = ThreadPoolExecutor(_AT_ONCE)

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> dict[str, Any]:
        return _read(self._client.request(method, path, json=body, params=query))

    def route(self, queries: Sequence[str]) -> list[dict[str, Any]]:
        bodies = [{"query": query} for query in queries]
        return list(self._pool.map(lambda body: self.call("POST", "/v1/route", body), bodies))

    def model_calls(self) -> int:
        calls = self._emulator.get("/_local/calls").raise_for_status().json()
        self._emulator.delete("/_local/calls").raise_for_status()
        return sum(call["model"] == MODEL for call in calls)

    def minute(self) -> float:
        state, began = self._product.state, time.monotonic()
        fire(running_cron_url(state, MINUTES_CRON))
        while job_waits(state):
            if time.monotonic() - began > _JOB_SECONDS:
                sys.exit("A job does not end.")
            fire(running_cron_url(state, MINUTES_CRON))
        return time.monotonic() - began

    def stop(self) -> None:
        self._product.stop()


def _read(response: httpx.Response) -> dict[str, Any]:
    if response.is_error:
        request = response.request
        sys.exit(f"{request.method} {request.url} failed: {response.status_code} {response.text}")
    found: dict[str, Any] = response.json()
    return found


class InProcess:
    """The whole product on CPython, over SQLite, with the model's answers in place of the
    emulator."""

    def __init__(self, table: DatasetTable) -> None:
        settings = Settings(routing_model=MODEL, admin_token=ADMIN_TOKEN)
        self._model = _Model(table)
        self._product = Product(
            SqliteDatabase(SCHEMA), settings, gateway=self._model, read_vectors=load_table
        )
        self._runner = asyncio.Runner()
        self._seen = 0

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> dict[str, Any]:
        return self._runner.run(self._call(method, path, body, query))

    async def _call(self, method: str, path: str, body: Any, query: Any) -> dict[str, Any]:
        address = f"{path}?{urlencode(query)}" if query else path
        answered = await self._product.call(method, address, body)
        if answered.status >= 400:
            sys.exit(f"{method} {address} failed: {answered.status} {answered.text}")
        found: dict[str, Any] = answered.json()
        return found

    def route(self, queries: Sequence[str]) -> list[dict[str, Any]]:
        return [self.call("POST", "/v1/route", {"query": query}) for query in queries]

    def model_calls(self) -> int:
        before, self._seen = self._seen, self._model.calls
        return self._seen - before

    def minute(self) -> float:
        began = time.monotonic()
        product = self._product
        product.clock.seconds += 60
        self._runner.run(run_scheduled(product.services, EVERY_MINUTE))
        while product.rows("SELECT 1 FROM jobs WHERE state IN ('queued', 'running') LIMIT 1"):
            if time.monotonic() - began > _JOB_SECONDS:
                sys.exit("A job does not end.")
            product.clock.seconds += 1
            self._runner.run(run_scheduled(product.services, EVERY_MINUTE))
        return time.monotonic() - began

    def stop(self) -> None:
        self._runner.close()
        self._product.database.close()


class _Model(ScriptedGateway):
    def __init__(self, table: DatasetTable) -> None:
        super().__init__()
        self._table = table
        self.calls = 0

    async def run(self, request: ModelRequest, /) -> ModelAnswer:
        self.calls += 1
        content = request.messages[-1]["content"]
        query = json.loads(content)["message"] if content.startswith('{"previous') else content
        said = self._table.answer(query)
        return ModelAnswer(content={"agent": said.agent or "none", "confidence": said.confidence})
