"""Logs found by parts of words, by who asked and by metadata, and how far a request looks."""

from typing import Any
from urllib.parse import quote

import pytest

from edgeneuro.store.log_filters import LABEL
from edgeneuro.store.log_search import WINDOW_ROWS
from tests.unit.conftest import SCHEMA, Product, says
from tests.unit.test_logs import ask, found

TEXTS = [
    "我的密码忘记了怎么办",  # I have forgotten my password, what now
    "パスワードを忘れました",  # I have forgotten the password
    "ฉันลืมรหัสผ่าน",  # I have forgotten the password
    "Wo steht die Krankenversicherungsnummer?",
    "My VPN is down",
    "ÜBERWEISUNG an Müller",
]


@pytest.fixture
async def filled(product: Product) -> Product:
    for text in TEXTS:
        await ask(product, text)
        product.clock.seconds += 60
    return product


@pytest.mark.parametrize(
    ("q", "numbers"),
    [
        ("忘记了", [0]),
        ("密码", [0]),
        ("码", [0]),
        ("忘", [1, 0]),
        ("パスワード", [1]),
        ("忘れ", [1]),
        ("รหัสผ่าน", [2]),
        ("ลืม", [2]),
        ("versicherung", [3]),
        ("VERSICHERUNG", [3]),
        ("versicherung steht", [3]),
        ("versicherung vpn", []),
        ("überweis", [5]),
        ("muller", [5]),
        ("vp", []),
        ("my", [4]),
        ("is my", [4]),
        ("IS vpn", [4]),
        ("an", [5]),
        ("m\u00fcller an", [5]),
        ("mull an", []),
        ("密码 忘记了", [0]),
        ("密码 忘れ", []),
        ("我的密码忘记了怎么办", [0]),
    ],
)
async def test_parts_are_found(filled: Product, q: str, numbers: list[int]) -> None:
    expected = [TEXTS[number] for number in numbers]
    assert await found(filled, f"q={quote(q)}") == expected
    assert await found(filled, f"q={quote(q)}&agent=hr") == expected
    assert await found(filled, f"q={quote(q)}&agent=it_support") == []


async def test_a_search_may_have_as_many_words_as_fit(filled: Product) -> None:
    """Each is one character: more of them than D1 binds parameters."""
    words = quote(" ".join("密码忘记" * 60))
    assert await found(filled, f"q={words}") == [TEXTS[0]]
    assert await found(filled, f"q={words}&agent=hr&user=nobody") == []
    assert await found(filled, f"q={quote('忘 ' * 240 + '卡')}") == []


async def test_deleted_rows_leave_both_indexes(filled: Product) -> None:
    filled.execute("UPDATE logs_trigrams_start SET seq = 2")
    filled.execute("DELETE FROM logs WHERE seq > 2")
    for index in ("logs_fts", "logs_trigrams"):
        filled.execute(f"INSERT INTO {index} ({index}) VALUES ('integrity-check')")
    assert await found(filled, "q=versicherung") == []
    assert await found(filled, f"q={quote('忘れ')}") == [TEXTS[1]]


async def test_rows_without_texts_are_in_no_trigrams(product: Product) -> None:
    product.execute("INSERT INTO config VALUES ('log_queries', 'false', 0)")
    await ask(product, "Where is my badge?")
    product.execute("DELETE FROM logs")
    product.execute("INSERT INTO logs_trigrams (logs_trigrams) VALUES ('integrity-check')")
    assert "WHEN new.query <> ''" in SCHEMA


FACTS: list[dict[str, Any]] = [
    {"user": "ann", "session": "s1", "metadata": {"team": "blue", "n": 3, "beta": True}},
    {"user": "ann", "session": "s2", "metadata": {"team": "red", "n": 1.5}},
    {"user": "bob", "metadata": {"team": "blue", "beta": False}},
    {},
]


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        ("user=ann", [1, 0]),
        ("session=s2", [1]),
        ("user=ann&session=s1", [0]),
        ("user=bob&agent=hr", [2]),
        ("user=nobody", []),
        ("metadata.team=blue", [2, 0]),
        ("metadata.team=blue&metadata.n=3", [0]),
        ("metadata.n=1.5", [1]),
        ("metadata.beta=true", [0]),
        ("metadata.beta=false", [2]),
        ("metadata.none=blue", []),
        ("metadata.te%27am=blue", []),
        ("q=question&user=ann&metadata.team=red", [1]),
    ],
)
async def test_who_asked_and_metadata(product: Product, filters: str, numbers: list[int]) -> None:
    for number, facts in enumerate(FACTS):
        product.gateway.enqueue(says("hr"))
        await product.route(f"question {number}", cache=False, **facts)
    assert await found(product, filters) == [f"question {number}" for number in numbers]
    assert len(await found(product, "limit=1000")) == 4


@pytest.mark.parametrize("name", ["user", "session"])
async def test_they_are_found_by_their_index(product: Product, name: str) -> None:
    product.database.statements.clear()
    await found(product, f"{name}=x&agent=hr")
    looked = [
        one
        for one in product.database.statements
        if " FROM logs WHERE" in one.sql or LABEL in one.sql
    ]
    assert len(looked) == 2
    for one in looked:
        steps = product.database._connection.execute(
            f"EXPLAIN QUERY PLAN {one.sql}", one.parameters
        ).fetchall()
        shown = " | ".join(row["detail"] for row in steps)
        assert f"INDEX logs_{name}" in shown
        assert "TEMP B-TREE" not in shown


async def many(product: Product, rows: int) -> list[str]:
    """So many answers, of which only the oldest is labelled."""
    oldest = await ask(product, "the question 密码")
    columns = [row["name"] for row in product.rows("SELECT name FROM pragma_table_info('logs')")]
    same = ", ".join(name for name in columns if name not in ("seq", "id", "query_hash"))
    product.execute(
        f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows - 1})"
        f" INSERT INTO logs (id, query_hash, {same}) SELECT 'copy_' || i, 'h', {same} FROM n, logs"
    )
    await product.call("PUT", f"/v1/logs/{oldest}/label", {"agent_id": "hr"})
    product.execute("UPDATE logs SET query = 'the question' WHERE id <> '" + oldest + "'")
    product.execute("INSERT INTO logs_fts (logs_fts) VALUES ('rebuild')")
    product.execute("INSERT INTO logs_trigrams (logs_trigrams) VALUES ('rebuild')")
    return [oldest]


@pytest.mark.parametrize(
    "filters",
    ["labelled=true", "labelled=true&q=question", f"q={quote('密码')}", "q=uest&labelled=true"],
)
async def test_a_request_looks_at_so_many_rows_and_says_how_far_it_came(
    product: Product, filters: str
) -> None:
    expected = await many(product, WINDOW_ROWS + 10)
    first = (await product.call("GET", f"/v1/logs?{filters}")).json()
    assert (first["data"], first["has_more"]) == ([], True)
    assert first["searched_from"] == "2027-01-15T08:00:00.000Z"
    path = f"/v1/logs?{filters}&after={first['last_id']}"
    second = (await product.call("GET", path)).json()
    assert [entry["id"] for entry in second["data"]] == expected
    assert (second["has_more"], second["searched_from"]) == (False, None)


async def test_a_page_that_is_full_says_nothing_of_it(product: Product) -> None:
    await many(product, WINDOW_ROWS + 10)
    page = (await product.call("GET", "/v1/logs?agent=hr&limit=2")).json()
    assert (len(page["data"]), page["has_more"], page["searched_from"]) == (2, True, None)
    assert page["last_id"] == page["data"][-1]["id"]
