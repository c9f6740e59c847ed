"""The product in process: the real application over SQLite and a scripted gateway, on a clock that
only the test moves."""

import asyncio
import itertools
import json
import secrets
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from edgeneuro.access.cloudflare_access import CloudflareAccess
from edgeneuro.access.identity import Identity
from edgeneuro.app.application import build_app
from edgeneuro.app.routes import ROUTES
from edgeneuro.classifier.vectors import VectorTable
from edgeneuro.errors import BodyTooLargeError, EdgeNeuroError
from edgeneuro.gateway.agents.endpoint import AgentEndpoints
from edgeneuro.gateway.agents.identity import IdentityTokens
from edgeneuro.gateway.cloudflare_api import CloudflareApi, FinetuneClient
from edgeneuro.gateway.http import Fetch
from edgeneuro.gateway.interface import Gateway, ModelAnswer
from edgeneuro.gateway.webhooks import WebhookSender
from edgeneuro.isolate.clock import MonotonicClock
from edgeneuro.isolate.log_writer import WINDOW_SECONDS
from edgeneuro.isolate.metrics import Failures
from edgeneuro.isolate.refusal_counter import WINDOW_SECONDS as REFUSAL_SECONDS
from edgeneuro.isolate.routing_config import RoutingConfigCache
from edgeneuro.services import Services
from edgeneuro.settings import Settings
from edgeneuro.store.database import Statement
from edgeneuro.web.openapi import failure_statuses
from edgeneuro.web.request import Request
from edgeneuro.web.response import Response
from edgeneuro.web.routing import RouteTable, canonical_path
from edgeneuro_testing.fetch import ScriptedFetch
from edgeneuro_testing.gateway import ScriptedGateway
from edgeneuro_testing.sqlite import SqliteDatabase
from scripts.database import applied
from scripts.paths import MIGRATIONS
from tests.unit.clock import Clock
from tests.unit.identity_keys import CryptographySigner
from tests.unit.invocations import BACKGROUND_SECONDS, CountedDatabase, invocation

TABLES = (Path(__file__).parents[2] / "schema.sql").read_text()
SCHEMA = TABLES + applied(sorted(MIGRATIONS.glob("*.sql")))
_TABLE = RouteTable(ROUTES)
ADMIN_TOKEN = "test-admin-token-0123456789"
CHUNK_BYTES = 1_000  # of a body that is read as it comes
IT = {
    "id": "it_support",
    "name": "IT Support",
    "description": "Laptops, VPN, passwords.",
    "examples": ["My VPN is down"],
}
HR = {"id": "hr", "name": "Human Resources", "description": "Leave, contracts, benefits."}
GENERAL = {"id": "general", "name": "General", "description": "Anything else.", "default": True}


class Limiter:
    """`held` makes its answer wait for that event, `failure` is raised instead of one."""

    def __init__(self) -> None:
        self.open = True
        self.keys: list[str] = []
        self.held: asyncio.Event | None = None
        self.failure: Exception | None = None

    async def allows(self, key: str) -> bool:
        self.keys.append(key)
        if self.held is not None:
            await self.held.wait()
        if self.failure is not None:
            raise self.failure
        return self.open


_ISOLATES: WeakKeyDictionary[object, Iterator[int]] = WeakKeyDictionary()
NO_WORDS = VectorTable("no words", (), b"")


class Answered:
    def __init__(self, response: Response, text: str) -> None:
        self.status = response.status
        self.headers = response.headers
        self.text = text

    def json(self) -> Any:
        return json.loads(self.text)


async def no_chunks(limit: int) -> AsyncGenerator[bytes, None]:
    """For requests that nobody reads as they come."""
    for nothing in list[bytes]():
        yield nothing


async def text_of(response: Response) -> str:
    if isinstance(response.body, str):
        return response.body
    return b"".join([part async for part in response.body]).decode()


def _require_declared(method: str, path: str, status: int) -> None:
    """/openapi.json lists the status among the answers of the route."""
    try:
        found = _TABLE.find(method, canonical_path(path))
    except EdgeNeuroError:
        return
    declared = {found.route.status, *failure_statuses(found)}
    assert method == "OPTIONS" or status in declared, (
        f"{method} {found.route.path} answers {status}: declare it in the route's row (Described)"
    )


class Product:
    """One isolate. `call` sends a request and does the work after the answer, which is ended 30 s
    after it, as the runtime does; together they are one invocation, with its limit of queries."""

    def __init__(
        self,
        database: SqliteDatabase,
        settings: Settings,
        *,
        gateway: Gateway | None = None,
        clock: Clock | None = None,
        access: CloudflareAccess | None = None,
        cloudflare: Fetch | None = None,
        read_vectors: Callable[[], VectorTable] = lambda: NO_WORDS,
    ) -> None:
        """`cloudflare` answers for its REST API, else nobody does; another gateway than a scripted
        one stays with whoever made it. Without `read_vectors` no word has a vector: trainings take
        a third of the time."""
        self.database = database
        self.gateway = gateway if isinstance(gateway, ScriptedGateway) else ScriptedGateway()
        self.fetch = ScriptedFetch()
        self.secrets = {"AGENT_SIGNING_SECRET": "shared words"}
        self.bindings = {"AGENT_HR"}
        self.clock = clock or Clock()
        self.limiter = Limiter()
        self.failures = Failures()
        # Of several isolates over one database none gives an id of another one.
        self._ids = 1_000_000 * _ISOLATES.setdefault(database, itertools.count()).__next__()
        monotonic = MonotonicClock(self.clock)
        counted = CountedDatabase(database)
        routing = RoutingConfigCache(counted, settings, monotonic=monotonic, failures=self.failures)
        identity = Identity(
            settings,
            counted,
            access_revision=routing.access_revision,
            access=access,
            rate_limiter=self.limiter,
            now=self.clock,
        )
        self.services = Services(
            settings=settings,
            db=counted,
            gateway=gateway or self.gateway,
            finetunes=FinetuneClient(
                CloudflareApi(cloudflare or ScriptedFetch(), settings, secret=self.secrets.get),
                new_hex=secrets.token_hex,
            ),
            endpoints=AgentEndpoints(
                self.fetch,
                secret=self.secrets.get,
                now=self.clock,
                new_id=self._new_id,
                identity=IdentityTokens(
                    CryptographySigner(),
                    secret=self.secrets.get,
                    issuer=settings.identity_issuer,
                    now=self.clock,
                ),
                hosts=settings.agent_hosts,
                service=lambda name: self.fetch if name in self.bindings else None,
                local=self.fetch if settings.local_agents else None,
            ),
            webhooks=WebhookSender(
                self.fetch, now=self.clock, local=self.fetch if settings.local_agents else None
            ),
            rate_limiter=self.limiter,
            routing=routing,
            identity=identity,
            failures=self.failures,
            now=self.clock,
            monotonic=monotonic,
            new_id=self._new_id,
            secret=self.secrets.get,
            new_secret=lambda: secrets.token_hex(20),
            new_hex=secrets.token_hex,
            sleep=self._sleep,
            read_vectors=read_vectors,
        )
        self.app = build_app(self.services)

    async def _sleep(self, seconds: float) -> None:
        """The windows of log rows and of refusals take no time here: the next request of a test
        comes later."""
        is_window = seconds <= WINDOW_SECONDS or seconds == REFUSAL_SECONDS
        await self.clock.sleep(0 if is_window else seconds)

    def _new_id(self, prefix: str) -> str:
        self._ids += 1
        return f"{prefix}_{self._ids:08}"

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        key: str | None = ADMIN_TOKEN,
    ) -> Answered:
        sent = {"authorization": f"Bearer {key}"} if key is not None else {}
        sent |= {name.lower(): value for name, value in (headers or {}).items()}
        raw = body if isinstance(body, bytes) else b""
        if body is not None and not isinstance(body, bytes):
            raw = json.dumps(body, ensure_ascii=False).encode()

        async def read_body(limit: int) -> bytes:
            if len(raw) > limit:
                raise BodyTooLargeError("The body is too large.")
            return raw

        async def body_chunks(limit: int) -> AsyncGenerator[bytes, None]:
            for at in range(0, len(raw), CHUNK_BYTES):
                await read_body(limit)
                yield raw[at : at + CHUNK_BYTES]

        path, _, query_string = path.partition("?")
        request = Request(
            method, path, query_string, lambda name: sent.get(name.lower()), read_body, body_chunks
        )
        return await self._invoke(request)

    async def _invoke(self, request: Request) -> Answered:
        waiting: list[Coroutine[Any, Any, None]] = []
        with invocation() as this:
            response = await self.app.handle(request, waiting.append)
            text = await text_of(response)
            _require_declared(request.method, request.path, response.status)
            # Each has its 30 s: in the runtime they run side by side, from the answer on.
            for work in waiting:
                await this.end_after(BACKGROUND_SECONDS, self.clock, work)
        return Answered(response, text)

    async def route(self, query: str, **fields: Any) -> Answered:
        return await self.call("POST", "/v1/route", {"query": query, **fields})

    async def logs(self) -> list[dict[str, Any]]:
        page = (await self.call("GET", "/v1/logs?limit=100")).json()
        rows: list[dict[str, Any]] = page["data"]
        return rows

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Straight from the database, past the product."""
        return [dict(row) for row in self.database._connection.execute(sql).fetchall()]

    def execute(self, sql: str) -> None:
        self.database._connection.execute(sql)


def says(agent: str, confidence: float = 0.9) -> ModelAnswer:
    """A model that does what it is asked."""
    return ModelAnswer(content={"agent": agent, "confidence": confidence})


@pytest.fixture
def settings() -> Settings:
    return Settings(
        routing_model="@cf/meta/llama-3.2-1b-instruct",
        fallback_models=("@cf/ibm-granite/granite-4.0-h-micro",),
        fine_tuned_model="@cf/google/gemma-2b-it-lora",
        intent_lora="intent-routing-v1",
        ai_gateway_url="https://gateway.ai.cloudflare.com/v1/account/edge",
        admin_token=ADMIN_TOKEN,
        provider_hosts=("models.example.com",),
        request_log="all",
    )


@pytest.fixture
def database() -> Iterator[SqliteDatabase]:
    database = SqliteDatabase(SCHEMA)
    yield database
    database.close()


@pytest.fixture
def empty_product(database: SqliteDatabase, settings: Settings) -> Product:
    """Without agents."""
    return Product(database, settings)


# What creates agents, by what it depends on: the statements and the last ID.
_CREATED: dict[tuple[Settings, float, str], tuple[list[Statement], int]] = {}
_WRITES = ("INSERT", "UPDATE", "DELETE")


async def add_agents(
    product: Product, agents: Sequence[Mapping[str, object]] = (IT, HR, GENERAL)
) -> Product:
    """it_support, hr and general, the default, or others, as the API creates them. To create them
    takes longer than most tests, so the first product that is as new creates them, and for the
    others its statements are run again, unless a database that is closed has the agents still."""
    settings, database = product.services.settings, product.database
    begun = (settings, product.clock.seconds, json.dumps(agents))
    is_new = not product._ids and not database.statements
    if is_new and begun in _CREATED:
        statements, product._ids = _CREATED[begun]
        if not database.resume(begun):
            await SqliteDatabase.batch(database, statements)
            database.statements.clear()
            database.keep(begun)
        return product
    for agent in agents:
        assert (await product.call("POST", "/v1/agents", agent)).status == 201
    if is_new:
        written = [each for each in database.statements if each.sql.startswith(_WRITES)]
        _CREATED[begun] = (written, product._ids)
    return product


@pytest.fixture
async def product(empty_product: Product) -> Product:
    """With three agents: it_support, hr and general, the default."""
    return await add_agents(empty_product)
