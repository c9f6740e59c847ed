"""Hours of use in minutes: thousands of mixed requests at a time while a tenth of the models'
answers fail, then the question whether everything adds up: rows, sums, budgets, memory.

    .build/venv/bin/python -m bench.soak --requests 10000

Starts a product of its own. One that runs already is named with --url and --emulator, the address
of its local/; its memory is sampled where --state names its folder on this machine, and
judged where it was started with the variable in soak_memory.COLLECTS.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tqdm import tqdm

from bench.soak_checks import Answer, check_all
from bench.soak_memory import COLLECTS, Memory
from tests.worker.product import LocalProduct

MODEL = "@cf/meta/llama-3.2-1b-instruct"
SUBJECTS = ("My VPN does not connect", "How many vacation days are left", "Refund my trip", "Hello")
SHARE = 0.1
PHASES = 40  # the faults change so often in a run
FAULTS: Sequence[Mapping[str, Any]] = (
    {"kind": "error", "code": 3040},
    {"kind": "status", "status": 500},
    {"kind": "refuse"},
    {"kind": "malformed_json"},
    {"kind": "cut"},
    {"kind": "slow", "delay_ms": 300},
    {"kind": "drip", "delay_ms": 2},
    {"kind": "stream_error"},
    {"kind": "invalid_answer"},
    {"kind": "hang", "share": 0.01},  # each costs a whole time budget
)
# Short times, for the hangs; long enough for a machine of few cores. A training that the router
# begins takes memory that WebAssembly never returns: one step, which is no growth.
SETTINGS = {"time_budget_ms": 3000, "chat_timeout_ms": 3000, "learning": "off"}
SAMPLES = 20  # of the process's memory
ISOLATE_SAMPLES = 10  # each takes the isolate half a second
REPEATED = 200  # questions that are asked again and again


@dataclass(frozen=True)
class Place:
    """A running product; `emulator` is its local/, `state` its folder if it is on this machine."""

    url: str
    token: str
    emulator: str
    state: Path | None


def main() -> None:
    options = read_options()
    with running_product(options) as place:
        failed = asyncio.run(Soak(place, options.requests, options.concurrency).run())
    if failed:
        sys.exit(f"\nDoes not hold: {'; '.join(failed)}")
    print("\nIt holds.")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=10_000, help="how many (10000)")
    parser.add_argument("--concurrency", type=int, default=32, help="requests at a time (32)")
    parser.add_argument("--url", help="a running product; without it one is started")
    parser.add_argument("--emulator", help="the address of its local/")
    parser.add_argument("--state", type=Path, help="its folder, for its memory")
    options = parser.parse_args()
    if options.url and not options.emulator:
        parser.error("--url needs --emulator: state/edgeneuro/instance.json has it as local_ai_url")
    return options


@contextmanager
def running_product(options: argparse.Namespace) -> Iterator[Place]:
    if options.url:
        token = os.environ["ADMIN_TOKEN"]
        yield Place(options.url.rstrip("/"), token, options.emulator, options.state)
        return
    with tempfile.TemporaryDirectory() as folder:
        product = LocalProduct(state=Path(folder), environment=dict(COLLECTS))
        product.start()
        try:
            assert product.local_ai_url is not None
            place = Place(
                product.base_url, product.admin_token, product.local_ai_url, product.state
            )
            yield place
        finally:
            product.stop()


class Soak:
    """One run. Each request has an id of its own, by which its row is found."""

    def __init__(self, place: Place, count: int, concurrency: int) -> None:
        self._place = place
        self._count = count
        self._concurrency = concurrency
        self._run = f"soak-{uuid.uuid4().hex[:12]}"
        self._random = random.Random(1)
        self._memory = Memory(place.url, place.state)
        self._answers: list[Answer] = []

    async def run(self) -> list[str]:
        """The names of the checks that failed."""
        headers = {"authorization": f"Bearer {self._place.token}"}
        limits = httpx.Limits(max_connections=self._concurrency)
        async with (
            httpx.AsyncClient(base_url=self._place.url, headers=headers, timeout=60) as admin,
            httpx.AsyncClient(base_url=self._place.url, timeout=60, limits=limits) as client,
            httpx.AsyncClient(base_url=self._place.emulator, timeout=60) as emulator,
            changed_settings(admin),
        ):
            before = (await admin.get("/v1/analytics")).raise_for_status().json()["totals"]
            keys = await create_keys(admin, self._count)
            started = time.perf_counter()
            await self._load(client, emulator, keys)
            seconds = time.perf_counter() - started
            print(f"requests     {self._count} in {seconds:.0f} s, {self._count / seconds:.1f}/s")
            return await check_all(
                admin, self._run, self._answers, keys=keys, before=before, memory=self._memory
            )

    async def _load(
        self, client: httpx.AsyncClient, emulator: httpx.AsyncClient, keys: list[dict[str, Any]]
    ) -> None:
        numbers = iter(tqdm(range(self._count), unit="request", disable=None))
        # Shared by the workers: each takes the next number when it is free.
        workers = [self._work(numbers, client, emulator, keys) for _ in range(self._concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            (await emulator.delete("/_local/faults")).raise_for_status()

    async def _work(
        self,
        numbers: Iterator[int],
        client: httpx.AsyncClient,
        emulator: httpx.AsyncClient,
        keys: list[dict[str, Any]],
    ) -> None:
        for number in numbers:
            if number % max(1, self._count // PHASES) == 0:
                fault = FAULTS[number // max(1, self._count // PHASES) % len(FAULTS)]
                faults = {"*": {"share": SHARE, **fault}}
                (await emulator.put("/_local/faults", json=faults)).raise_for_status()
            if number % max(1, self._count // SAMPLES) == 0:
                self._memory.sample(number)
            if number and number % max(1, self._count // ISOLATE_SAMPLES) == 0:
                await asyncio.to_thread(self._memory.sample_isolate, number)
            self._answers.append(await self._ask(number, client, self._random.choice(keys)))

    async def _ask(self, number: int, client: httpx.AsyncClient, key: dict[str, Any]) -> Answer:
        draw = self._random.random()
        if draw < 0.6:
            path, body, kind = "/v1/route", self._route_body(), "route"
        else:
            path, body, kind = "/v1/chat/completions", self._chat_body(), "chat"
            if draw >= 0.85:
                body, kind = {**body, "stream": True}, "stream"
        headers = {
            "authorization": f"Bearer {key['key']}",
            "x-request-id": f"{self._run}-{number}",
        }
        leaves = kind == "stream" and self._random.random() < 0.2
        started = time.perf_counter()
        answer = Answer(kind, headers["x-request-id"], key["id"])
        try:
            async with client.stream("POST", path, json=body, headers=headers) as response:
                await take(answer, response, leaves=leaves)
        except httpx.HTTPError as error:
            answer.failure = repr(error)
        answer.ms = (time.perf_counter() - started) * 1000
        return answer

    def _question(self) -> str:
        subject = self._random.choice(SUBJECTS)
        if self._random.random() < 0.5:
            return f"{subject} ({self._random.randrange(REPEATED)})"
        return f"{subject} ({uuid.uuid4().hex})"

    def _route_body(self) -> dict[str, Any]:
        return {"query": self._question(), "user": self._run}

    def _chat_body(self) -> dict[str, Any]:
        return {
            "model": self._random.choice(("auto", "agent:hr", MODEL)),
            "messages": [{"role": "user", "content": self._question()}],
            "max_tokens": 64,
            "temperature": self._random.choice((0, 1)),
        }


async def take(answer: Answer, response: httpx.Response, *, leaves: bool) -> None:
    """Reads the answer, or its first part if the client disconnects."""
    answer.status = response.status_code
    answer.decision_id = response.headers.get("x-edgeneuro-decision-id")
    if leaves and response.status_code == 200:
        answer.left = True
        async for _ in response.aiter_bytes():
            return
    content = await response.aread()
    if response.status_code != 200:
        answer.code = error_code(content)
        if answer.code is None:
            answer.failure = (
                f"{response.status_code}, not an error of the product: {content[:200]!r}"
            )
    elif answer.kind == "stream":
        answer.whole = content.endswith(b"data: [DONE]\n\n")
    else:
        body = response.json()
        facts = body if answer.kind == "route" else body["edgeneuro"]
        answer.decision_id = facts["id" if answer.kind == "route" else "decision_id"]
        answer.whole = facts["agent"] is not None or answer.kind == "chat"


def error_code(content: bytes) -> str | None:
    """None of an answer that is not the product's, as of a runtime that has failed."""
    try:
        code: str = json.loads(content)["error"]["code"]
    except (ValueError, LookupError, TypeError):
        return None
    return code


@asynccontextmanager
async def changed_settings(admin: httpx.AsyncClient) -> AsyncIterator[None]:
    (await admin.patch("/v1/config", json=SETTINGS)).raise_for_status()
    try:
        yield
    finally:
        await admin.patch("/v1/config", json=dict.fromkeys(SETTINGS))


async def create_keys(admin: httpx.AsyncClient, count: int) -> list[dict[str, Any]]:
    """Two without limits, and one for each limit, which the run reaches."""
    limits: Sequence[dict[str, Any]] = (
        {},
        {},
        {"requests_per_minute": 200},
        {"monthly_budget_usd": count * 2e-7},
        {"monthly_token_budget": count * 10},
    )
    keys = []
    for given in limits:
        body = {"name": "soak", "scopes": ["route"], **given}
        keys.append((await admin.post("/v1/keys", json=body)).raise_for_status().json())
    return keys


if __name__ == "__main__":
    main()
