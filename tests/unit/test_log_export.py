"""The export of log rows: what GET /v1/logs lists, each row once, in parts, with a last line."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import pytest

from edgeneuro.controlplane.observe import log_export
from edgeneuro.errors import DatabaseError
from edgeneuro.settings import Settings
from edgeneuro.store.database import Rows, Statement
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import SCHEMA, Product, add_agents
from tests.unit.test_log_search import many
from tests.unit.test_logs import ask

ROWS = 1_300  # of three parts and more
TEXTS = ["My VPN is down", "我的密码忘记了", "Is the VPN in my contract?", "ÜBERWEISUNG an Müller"]


class BrokenDatabase(SqliteDatabase):
    """`fail_at` is the number of the read of log rows that fails."""

    def __init__(self) -> None:
        super().__init__(SCHEMA)
        self.fail_at = self.parts = self.longest = 0

    async def batch(self, statements: Sequence[Statement], /) -> list[Rows]:
        if "f.correct_agent" not in statements[0].sql:
            return await super().batch(statements)
        self.parts += 1
        if self.parts == self.fail_at:
            raise DatabaseError("D1_ERROR: storage caused object to be reset")
        found = await super().batch(statements)
        self.longest = max(self.longest, *map(len, found))
        return found


async def export(product: Product, words: str = "") -> tuple[list[dict[str, Any]], dict[str, Any]]:
    answered = await product.call("GET", f"/v1/logs/export?{words}")
    assert answered.status == 200, answered.text
    assert answered.text.endswith("\n")
    *lines, end = [json.loads(line) for line in answered.text.split("\n")[:-1]]
    assert (end["object"], end["rows"]) == ("log_export_end", len(lines))
    return lines, end


@pytest.mark.parametrize(
    "filters",
    [
        "",
        "agent=hr",
        "agent=nobody",
        "user=ann",
        "session=s1",
        "metadata.team=blue",
        "layer=llm&labelled=true",
        "from=2027-01-15&to=2027-01-15T08:02:00Z",
        "q=vpn",
        "q=vpn&user=ann",
        f"q={quote('密码')}",
        f"q={quote('忘')}&agent=hr",
    ],
)
async def test_a_line_is_an_item_of_the_list_with_the_same_filters(
    product: Product, filters: str
) -> None:
    for number, text in enumerate(TEXTS):
        ann = {"user": "ann", "session": f"s{number}", "metadata": {"team": "blue"}}
        fields: dict[str, Any] = ann if number % 2 else {}
        log_id = await ask(product, text, **fields)
        product.clock.seconds += 60
    await product.call("PUT", f"/v1/logs/{log_id}/label", {"agent_id": "hr"})
    listed = (await product.call("GET", f"/v1/logs?{filters}")).json()
    lines, end = await export(product, filters)
    assert lines == listed["data"]
    assert (end["has_more"], end["last_id"]) == (False, listed["last_id"])


@pytest.fixture
async def filled(settings: Settings) -> Product:
    """With so many rows, of which many have the same time; the oldest is labelled."""
    product = await add_agents(Product(BrokenDatabase(), settings))
    await many(product, ROWS)
    product.execute("UPDATE logs SET created_at = created_at + seq / 7, agent_id ="
                    " CASE seq % 5 WHEN 0 THEN 'it_support' ELSE 'hr' END")  # fmt: skip
    return product


def database(product: Product) -> BrokenDatabase:
    assert isinstance(product.database, BrokenDatabase)
    return product.database


def newest_first(product: Product, where: str = "true") -> list[str]:
    sql = f"SELECT id FROM logs WHERE {where} ORDER BY created_at DESC, seq DESC"
    return [row["id"] for row in product.rows(sql)]


@pytest.mark.parametrize(
    ("filters", "where"),
    [
        ("", "true"),
        ("agent=it_support", "agent_id = 'it_support'"),
        ("labelled=true", "seq = 1"),
        ("q=question", "true"),
        ("q=uestion&agent=hr", "agent_id = 'hr'"),
        (f"q={quote('密码')}", "seq = 1"),
    ],
)
async def test_every_row_comes_once_and_no_part_is_large(
    filled: Product, filters: str, where: str
) -> None:
    lines, end = await export(filled, filters)
    assert [line["id"] for line in lines] == newest_first(filled, where)
    assert (end["has_more"], database(filled).longest <= log_export._MAX_ROWS) == (False, True)
    assert database(filled).parts >= 3


@pytest.mark.parametrize("filters", ["", "agent=hr", "q=question"])
async def test_an_export_of_so_many_lines_is_continued(filled: Product, filters: str) -> None:
    whole, _ = await export(filled, filters)
    joined: list[dict[str, Any]] = []
    after, more = "", True
    while more:
        lines, end = await export(filled, f"{filters}&limit=333{after}")
        joined += lines
        after, more = f"&after={end['last_id']}", end["has_more"]
    assert joined == whole


async def test_it_ends_before_d1_refuses_further_queries(
    filled: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row that fits is the oldest: a request that found none says how far it has looked."""
    monkeypatch.setattr(log_export, "_MAX_QUERIES", 2)
    lines, end = await export(filled, "labelled=true")
    assert (lines, end["has_more"]) == ([], True)
    seen = Counter[str]()
    while end["has_more"]:
        lines, end = await export(filled, f"labelled=true&after={end['last_id']}")
        seen.update(line["id"] for line in lines)
    assert seen == dict.fromkeys(newest_first(filled, "seq = 1"), 1)


async def test_a_failure_cuts_the_export_and_the_last_line_continues_it(filled: Product) -> None:
    database(filled).fail_at = 3
    with pytest.raises(DatabaseError):
        await export(filled)
    ids = newest_first(filled)
    lines, _ = await export(filled, f"after={ids[99]}")
    assert [line["id"] for line in lines] == ids[100:]


async def test_rows_that_are_deleted_meanwhile_hide_no_others(filled: Product) -> None:
    """The next part begins at a place, not at a row: an erasure may have deleted it."""
    ids = newest_first(filled)

    class Erasing(BrokenDatabase):
        async def batch(self, statements: Sequence[Statement], /) -> list[Rows]:
            found = await super().batch(statements)
            if self.parts == 1:
                self._connection.execute(f"DELETE FROM logs WHERE id = '{ids[99]}'")
            return found

    database(filled).__class__ = Erasing
    lines, _ = await export(filled)
    assert [line["id"] for line in lines] == ids


async def test_what_it_refuses(product: Product) -> None:
    for words, status, param in (
        ("layer=gut", 400, "layer"),
        ("limit=0", 400, "limit"),
        ("limit=100001", 400, "limit"),
        ("from=yesterday", 400, "from"),
        ("page=2", 400, "page"),
        ("after=dec_gone", 404, "after"),
    ):
        answered = await product.call("GET", f"/v1/logs/export?{words}")
        assert (answered.status, answered.json()["error"]["param"]) == (status, param), words
    assert (await export(product))[1]["last_id"] is None
    key = (await product.call("POST", "/v1/keys", {"name": "app", "scopes": ["route"]})).json()
    refused = await product.call("GET", "/v1/logs/export", key=key["key"])
    assert refused.status == 403
