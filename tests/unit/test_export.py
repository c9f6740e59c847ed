"""The export of labels: its shapes, its manifest, and that its memory does not grow."""

import hashlib
import json
import weakref
from collections.abc import Sequence
from typing import Any

import pytest

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.label import LabelEvent
from edgeneuro.domain.prompt import answer_text, build_messages
from edgeneuro.domain.query import query_hash
from edgeneuro.errors import DatabaseError
from edgeneuro.gateway.interface import ModelAnswer
from edgeneuro.store.database import Rows, Statement, statement
from edgeneuro.store.datasets import PAGE_ROWS
from edgeneuro.store.labels import record_labels
from edgeneuro.synapsecore.rankers.model_output import NamedAgent, read_output
from edgeneuro.web.request import Request
from edgeneuro.web.response import Response
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import ADMIN_TOKEN, Product, no_chunks

ADAPTER = "intent-routing-v1"
LABELS = {
    "My VPN is down": "it_support",
    "my vpn is down!": "it_support",
    "Leave?": "hr",
    "What is 6 * 7?": None,
    'Say "hello"\n\nto ünïcode 🙂': "general",
}


def event(number: int, query: str, agent_id: str | None, *, removed: bool = False) -> LabelEvent:
    return LabelEvent(
        id=f"lab_{number:08}",
        query=query,
        agent_id=agent_id,
        labeler="me",
        source="hand",
        created_ms=1_800_000_000_000,
        removed=removed,
    )


async def label(database: SqliteDatabase, labels: dict[str, str | None]) -> None:
    events = [event(n, query, agent) for n, (query, agent) in enumerate(labels.items())]
    await database.batch(record_labels(events))


async def export(product: Product, words: str = "") -> list[dict[str, Any]]:
    answered = await product.call("GET", f"/v1/datasets/export?{words}")
    assert answered.status == 200, answered.text
    return [json.loads(line) for line in answered.text.split("\n")[:-1]]


async def enabled_agents(product: Product) -> list[Agent]:
    return list((await product.services.routing.current()).agents.values())


@pytest.mark.parametrize("agent_id", ["hr", "it_support", None])
async def test_the_answer_text_is_what_the_router_reads(
    product: Product, agent_id: str | None
) -> None:
    agents = await enabled_agents(product)
    answer = ModelAnswer(content=answer_text(agent_id))
    assert read_output(answer, agents, stated=False) == NamedAgent(agent_id, None, None)


async def test_chat_is_what_the_router_sends_an_adapter_and_the_right_answer(
    product: Product,
) -> None:
    """No line holds a confidence: an adapter would learn the one number by heart."""
    await label(product.database, LABELS)
    agents = await enabled_agents(product)
    lines = await export(product, "format=chat")
    by_query = {line["messages"][1]["content"]: line for line in lines}
    assert by_query.keys() == LABELS.keys()
    for query, agent_id in LABELS.items():
        product.gateway.enqueue(ModelAnswer(content={"agent": "general"}))
        assert (await product.route(query, cache=False, model=ADAPTER)).status == 200
        *prompt, answer = by_query[query]["messages"]
        sent = product.gateway.requests[-1].messages
        assert prompt == sent == build_messages(query, agents, confidence=False)
        assert answer == {"role": "assistant", "content": json.dumps({"agent": agent_id or "none"})}
        assert "onfidence" not in json.dumps(by_query[query])
        assert set(by_query[query]) == {"messages"}


async def test_prompt_is_the_same_in_two_parts(product: Product) -> None:
    await label(product.database, LABELS)
    chat, prompt = await export(product, "format=chat"), await export(product, "format=prompt")
    assert [set(line) for line in prompt] == [{"prompt", "completion"}] * len(LABELS)
    joined = [{"messages": line["prompt"] + line["completion"]} for line in prompt]
    assert joined == chat


async def test_flat_is_the_bare_facts_by_query_hash(product: Product) -> None:
    await label(product.database, LABELS)
    lines = await export(product, "format=flat")
    assert [line["query"] for line in lines] == sorted(LABELS, key=query_hash)
    assert {line["query"]: line["agent"] for line in lines} == {
        query: agent or "none" for query, agent in LABELS.items()
    }
    stored = await product.database.run(statement("SELECT query, split FROM current_labels"))
    assert {line["query"]: line["split"] for line in lines} == {
        row["query"]: row["split"] for row in stored
    }
    assert {(line["labeler"], line["labelled_at"]) for line in lines} == {
        ("me", "2027-01-15T08:00:00.000Z")
    }


async def test_the_splits_and_agents_are_parts_of_the_whole(product: Product) -> None:
    agents = ("hr", "general", None)
    await label(product.database, {f"question {n}": agents[n % 3] for n in range(600)})
    whole = await export(product, "format=flat")
    parts = [
        await export(product, f"format=flat&split={split}")
        for split in ("train", "validation", "test")
    ]
    assert all(parts)
    assert sorted(line["query"] for part in parts for line in part) == sorted(
        line["query"] for line in whole
    )
    none = await export(product, "format=flat&agent=none&split=test")
    assert none == [line for line in parts[2] if line["agent"] == "none"]
    assert len(none) > 0


async def test_near_duplicates_are_left_out_on_request(product: Product) -> None:
    await label(product.database, LABELS)
    first, *rest = await export(product, "format=flat&dedupe=near&manifest=true")
    assert len(rest) == len(LABELS) - 1
    assert first["manifest"]["near_duplicates"] == 1
    vpn = [line["query"] for line in rest if "vpn" in line["query"].lower()]
    assert vpn == [min("My VPN is down", "my vpn is down!", key=query_hash)]


async def test_agents_that_are_not_offered_are_in_flat_alone(product: Product) -> None:
    await label(product.database, LABELS)
    await product.call("PATCH", "/v1/agents/hr", {"enabled": False})
    await product.call("DELETE", "/v1/agents/it_support")
    for shape in ("chat", "prompt"):
        manifest, *lines = await export(product, f"format={shape}&manifest=true")
        assert len(lines) == manifest["manifest"]["rows"] == 2
        assert manifest["manifest"]["unknown_agent"] == 3
        assert "it_support" not in json.dumps(lines)
    assert len(await export(product, "format=flat")) == len(LABELS)


async def test_the_manifest_tells_what_follows(product: Product) -> None:
    await label(product.database, LABELS)
    answered = await product.call("GET", "/v1/datasets/export?format=chat&manifest=true")
    first, rest = answered.text.split("\n", 1)
    manifest = json.loads(first)["manifest"]
    order = sorted(LABELS, key=query_hash)
    pairs = "".join(f"{query_hash(query)} {LABELS[query] or 'none'}\n" for query in order)
    agents = await product.services.routing.current()
    assert manifest | {"splits": None} == {
        "format": "chat",
        "split": "all",
        "agent": None,
        "dedupe": "exact",
        "source": "human",
        "machine_agents": {},
        "rows": 5,
        "agents": {"general": 1, "hr": 1, "it_support": 2, "none": 1},
        "splits": None,
        "unknown_agent": 0,
        "near_duplicates": 0,
        "label_set_hash": hashlib.sha256(pairs.encode()).hexdigest(),
        "sha256": hashlib.sha256(rest.encode()).hexdigest(),
        "prompt_version": "2",
        "agents_revision": agents.agents_revision,
        "created_at": "2027-01-15T08:00:00.000Z",
    }
    assert sum(manifest["splits"].values()) == 5
    again = await product.call("GET", "/v1/datasets/export?format=chat&manifest=true")
    assert again.text == answered.text
    # By near hash the order is another one; the hash does not depend on it.
    shown, *lines = await export(product, "format=flat&dedupe=near&manifest=true")
    pairs = "".join(sorted(f"{query_hash(each['query'])} {each['agent']}\n" for each in lines))
    stated = shown["manifest"]["label_set_hash"]
    assert stated == hashlib.sha256(pairs.encode()).hexdigest()


async def test_it_is_a_file_of_json_lines(product: Product) -> None:
    await label(product.database, LABELS)
    answered = await product.call("GET", "/v1/datasets/export?split=train&format=prompt")
    assert answered.headers["content-type"] == "application/jsonl"
    assert answered.headers["content-disposition"] == (
        'attachment; filename="edgeneuro-train-prompt.jsonl"'
    )


@pytest.mark.parametrize(
    ("words", "param"),
    [
        ("format=parquet", "format"),
        ("split=dev", "split"),
        ("manifest=perhaps", "manifest"),
        ("agent=", "agent"),
        ("dedupe=all", "dedupe"),
        ("limit=5", "limit"),
    ],
)
async def test_bad_parameters(product: Product, words: str, param: str) -> None:
    answered = await product.call("GET", f"/v1/datasets/export?{words}")
    assert (answered.status, answered.json()["error"]["param"]) == (400, param)


async def test_without_labels_it_is_empty(product: Product) -> None:
    assert await export(product) == []
    (first,) = await export(product, "manifest=true")
    assert first["manifest"]["rows"] == 0


async def test_without_agents_there_is_no_prompt(empty_product: Product) -> None:
    await label(empty_product.database, LABELS)
    answered = await empty_product.call("GET", "/v1/datasets/export")
    assert (answered.status, answered.json()["error"]["code"]) == (409, "not_configured")
    assert len(await export(empty_product, "format=flat")) == len(LABELS)


async def test_stats_count_what_is_there(product: Product) -> None:
    labels: dict[str, str | None] = {f"leave number {n}": "hr" for n in range(30)}
    await label(product.database, {**LABELS, **labels})
    await product.call("PATCH", "/v1/agents/general", {"default": True})
    await product.call("DELETE", "/v1/agents/it_support")
    stats = (await product.call("GET", "/v1/datasets/stats")).json()
    assert stats["total"]["labels"] == 35
    by_agent = {agent["agent_id"]: agent for agent in stats["agents"]}
    assert {name: (a["labels"], a["status"]) for name, a in by_agent.items()} == {
        "general": (1, "enabled"),
        "hr": (31, "enabled"),
        "it_support": (2, "deleted"),
    }
    for counts in (stats["total"], stats["out_of_scope"], *stats["agents"]):
        assert counts["labels"] == counts["train"] + counts["validation"] + counts["test"]
    assert stats["out_of_scope"]["labels"] == 1
    assert stats["near_duplicates"] == 1
    assert (stats["enough"], stats["too_few"]) == (5, ["general"])
    assert (stats["training"]["ready"], stats["training"]["labels_needed"]) == (False, 10)


class WatchedRow(dict[str, Any]):
    """A row that can be seen to go."""


class CountingDatabase:
    """Hands reads on; counts the rows of the biggest one, and those alive at once."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._alive: weakref.WeakValueDictionary[int, WatchedRow] = weakref.WeakValueDictionary()
        self.reads = self.biggest_read = self.most_alive = 0
        self.on_read: Any = None

    async def run(self, one: Statement, /) -> Rows:
        return (await self.batch([one]))[0]

    async def batch(self, statements: Sequence[Statement], /) -> list[Rows]:
        if self.on_read is not None:
            await self.on_read(self)
        self.reads += 1
        results: list[Rows] = []
        for found in await self._database.batch(statements):
            rows = [WatchedRow(row) for row in found]
            results.append(rows)
            self._alive.update({id(row): row for row in rows})
            self.biggest_read = max(self.biggest_read, len(rows))
        self.most_alive = max(self.most_alive, len(self._alive))
        return results


@pytest.fixture
async def many(product: Product) -> int:
    """30,000 labels, put in past the product for speed."""
    product.execute(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)"
        " INSERT INTO labels (id, query_hash, near_hash, query, agent_id, removed, labeler, source,"
        " created_at) SELECT 'lab_' || i, printf('%032x', i * 7919 % 100003),"
        " printf('%032x', i * 104729), 'question ' || i, iif(i % 2, 'hr', NULL), 0, 'me', 'import',"
        " 1800000000000 FROM n"
    )
    product.execute(
        "INSERT INTO splits (near_hash, agent, place, split) SELECT near_hash, agent,"
        " row_number() OVER (PARTITION BY agent),"
        " 'train' FROM (SELECT near_hash, coalesce(agent_id, 'none') AS agent FROM labels)"
    )
    return 10_000


async def stream(product: Product, words: str, method: str = "GET") -> Response:
    async def no_body(limit: int) -> bytes:
        return b""

    headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    request = Request(method, "/v1/datasets/export", words, headers.get, no_body, no_chunks)
    return await product.app.handle(request, lambda work: work.close())


def counted(product: Product, settings: Any) -> tuple[Product, CountingDatabase]:
    database = CountingDatabase(product.database)
    watched = Product(database, settings)  # type: ignore[arg-type]  # reads are all that it needs
    return watched, database


@pytest.mark.parametrize("words", ["format=flat", "format=flat&dedupe=near"])
async def test_10_000_labels_are_read_page_by_page(
    product: Product, settings: Any, many: int, words: str
) -> None:
    watched, database = counted(product, settings)
    lines = biggest = 0
    body = (await stream(watched, words)).body
    assert not isinstance(body, str)
    async for part in body:
        lines += part.count(b"\n")
        biggest = max(biggest, len(part))
        # It yields as it goes: what is out so far has been read by this many pages, not by more.
        assert database.reads <= lines // PAGE_ROWS + 4
    assert lines == many
    assert database.biggest_read == PAGE_ROWS + 1, "and a row for the page itself"
    assert database.most_alive <= PAGE_ROWS + 2
    assert biggest < 2 * 64 * 1024


async def test_a_client_that_goes_away_ends_the_reading(
    product: Product, settings: Any, many: int
) -> None:
    watched, database = counted(product, settings)
    body: Any = (await stream(watched, "format=flat")).body
    await anext(body)
    await body.aclose()
    assert database.reads < 6, "of 20 pages"


async def test_labels_given_meanwhile_are_not_in_it(product: Product, settings: Any) -> None:
    await label(product.database, {f"question {n}": "hr" for n in range(1_200)})
    words = "format=flat&manifest=true"
    before = await product.call("GET", f"/v1/datasets/export?{words}")
    watched, database = counted(product, settings)
    number = 10_000

    async def change_labels(database: CountingDatabase) -> None:
        nonlocal number
        events = [
            event(number, f"new question {number}", "hr"),
            event(number + 1, f"question {number % 1_200}", "general"),
            event(number + 2, f"question {(number + 7) % 1_200}", None, removed=True),
        ]
        number += 100
        # From the second read on: the first ones settle the agents and the moment.
        if database.reads >= 2:
            await product.database.batch(record_labels(events))

    database.on_read = change_labels
    assert (await watched.call("GET", f"/v1/datasets/export?{words}")).text == before.text
    after = await product.call("GET", f"/v1/datasets/export?{words}")
    assert after.text != before.text


async def test_head_reads_no_labels(product: Product, settings: Any, many: int) -> None:
    watched, database = counted(product, settings)
    response = await stream(watched, "format=chat&manifest=true", "HEAD")
    assert (response.status, response.body) == (200, "")
    assert response.headers["content-type"] == "application/jsonl"
    assert database.reads == 2  # the agents, and the moment


async def test_a_failure_before_the_first_part_is_an_error_in_the_one_shape(
    product: Product, settings: Any, many: int
) -> None:
    watched, database = counted(product, settings)

    async def fail(database: CountingDatabase) -> None:
        if database.reads == 20:
            raise DatabaseError("D1_ERROR: Network connection lost.")

    database.on_read = fail
    answered = await watched.call("GET", "/v1/datasets/export?format=flat&manifest=true")
    assert (answered.status, answered.json()["error"]["code"]) == (503, "database_unavailable")
    assert answered.headers["content-type"] == "application/json"


async def test_a_failure_later_breaks_off_and_is_counted(
    product: Product, settings: Any, many: int
) -> None:
    watched, database = counted(product, settings)

    async def fail(database: CountingDatabase) -> None:
        if database.reads == 20:
            raise DatabaseError("D1_ERROR: Network connection lost.")

    database.on_read = fail
    response = await stream(watched, "format=flat")
    assert not isinstance(response.body, str)
    parts = 0
    with pytest.raises(DatabaseError):
        async for _ in response.body:
            parts += 1
    assert parts > 1
    assert watched.failures.counts["stream"] == 1
