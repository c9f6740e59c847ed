"""The import of labels from files: all lines or none, and a report of every line that is wrong."""

import json
from typing import Any

import pytest

from edgeneuro.controlplane.labels.dataset_import import MAX_ROWS
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import Answered, Product

IMPORT = "/v1/datasets/import"


def jsonl(*rows: Any) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


async def in_force(product: Product) -> dict[str, str | None]:
    rows = product.rows("SELECT query, agent_id FROM current_labels")
    return {row["query"]: row["agent_id"] for row in rows}


async def assert_refused(
    product: Product, body: bytes, *expected: tuple[int, str | None], words: str = ""
) -> Answered:
    before = product.rows("SELECT count(*) FROM labels")
    answered = await product.call("POST", f"{IMPORT}?{words}", body)
    assert answered.status == 400, answered.text
    content = answered.json()
    assert content["error"]["code"] == "invalid_lines"
    assert [(fault["line"], fault["param"]) for fault in content["errors"]] == list(expected)
    assert content["error_count"] == len(expected)
    assert all(fault["message"] for fault in content["errors"])
    assert product.rows("SELECT count(*) FROM labels") == before
    return answered


async def audit(product: Product) -> list[dict[str, Any]]:
    page = (await product.call("GET", "/v1/audit?resource=dataset")).json()
    data: list[dict[str, Any]] = page["data"]
    return data


async def test_json_lines_become_labels(product: Product) -> None:
    body = jsonl(
        {"query": " My VPN is down ", "agent": "it_support", "intent": "vpn"},
        {"query": "Leave?", "agent_id": "hr"},
        {"query": "Who won?", "agent": None, "intent": "oos"},
        {"query": "6 * 7?", "agent": "none"},
        {"query": "Zeilen\u2028Trenner \x85", "agent": "general"},
    )
    answered = await product.call("POST", IMPORT, b"\xef\xbb\xbf" + body + b"\n\r\n")
    assert answered.status == 200, answered.text
    report = answered.json()
    assert report == {
        "object": "dataset.import",
        "id": report["id"],
        "dry_run": False,
        "rows": 5,
        "labels": 5,
        "new": 5,
        "changed": 0,
        "unchanged": 0,
        "outvoted": 0,
        "duplicates": 0,
        "split_kept": 0,
        "encoding": "utf-8",
        "mapped": {},
        "skipped": 0,
        "created": [],
    }
    assert await in_force(product) == {
        "My VPN is down": "it_support",
        "Leave?": "hr",
        "Who won?": None,
        "6 * 7?": None,
        "Zeilen\nTrenner": "general",
    }
    history = product.rows("SELECT DISTINCT labeler, source, removed FROM labels")
    assert history == [{"labeler": "admin_token", "source": "import", "removed": 0}]


async def test_csv_becomes_labels(product: Product) -> None:
    body = (
        "\ufeffintent,query,agent\r\n"
        'vpn,"Down, again: ""VPN""",it_support\r\n'
        '\r\noos,"two\r\nlines", none \r\n'
    )
    answered = await product.call("POST", f"{IMPORT}?format=csv", body.encode())
    assert answered.status == 200, answered.text
    assert await in_force(product) == {'Down, again: "VPN"': "it_support", "two\nlines": None}


async def test_an_import_leaves_one_audit_row_with_its_counts(product: Product) -> None:
    await product.call("POST", IMPORT, jsonl({"query": "Leave?", "agent": "hr"}))
    (entry,) = await audit(product)
    assert (entry["action"], entry["actor"]) == ("import", "admin_token")
    assert (entry["after"]["rows"], entry["after"]["new"]) == (1, 1)
    assert "Leave?" not in json.dumps(entry)


async def test_what_is_in_force_already_is_not_written_again(product: Product) -> None:
    first = [{"query": f"question {n}", "agent": "hr"} for n in range(10)]
    await product.call("POST", IMPORT, jsonl(*first))
    changed = [*first[:4], {"query": "QUESTION  4", "agent": "none"}, {"query": "b", "agent": "hr"}]
    report = (await product.call("POST", IMPORT, jsonl(*changed))).json()
    assert (report["new"], report["changed"], report["unchanged"]) == (1, 1, 4)
    assert (await in_force(product))["QUESTION 4"] is None
    assert product.rows("SELECT count(*) AS n FROM labels") == [{"n": 12}]
    report = (await product.call("POST", IMPORT, jsonl(*changed))).json()
    assert (report["new"], report["changed"], report["unchanged"]) == (0, 0, 6)
    assert len(await audit(product)) == 2


async def test_duplicates_in_the_file_count_once(product: Product) -> None:
    row = {"query": "Leave?", "agent": "hr"}
    body = jsonl(row, {**row, "query": "LEAVE? "}, row)
    report = (await product.call("POST", IMPORT, body)).json()
    assert (report["rows"], report["labels"], report["duplicates"]) == (3, 1, 2)


async def test_a_dry_run_writes_nothing(product: Product) -> None:
    body = jsonl({"query": "Leave?", "agent": "hr"})
    report = (await product.call("POST", f"{IMPORT}?dry_run=true", body)).json()
    assert (report["dry_run"], report["new"]) == (True, 1)
    assert await in_force(product) == {}
    assert await audit(product) == []


@pytest.mark.parametrize("shape", ["chat", "prompt", "flat"])
@pytest.mark.parametrize("manifest", ["true", "false"])
async def test_an_export_comes_in_again(
    product: Product, database: SqliteDatabase, shape: str, manifest: str
) -> None:
    body = jsonl(
        {"query": 'Say "hello"\n\u2028 🙂', "agent": "hr"},
        {"query": "Who won?", "agent": "none"},
        {"query": "VPN", "agent": "it_support"},
    )
    await product.call("POST", IMPORT, body)
    labels = await in_force(product)
    words = f"format={shape}&manifest={manifest}"
    exported = await product.call("GET", f"/v1/datasets/export?{words}")
    report = (await product.call("POST", IMPORT, exported.text.encode())).json()
    assert (report["rows"], report["unchanged"]) == (3, 3)
    for table in ("current_labels", "labels"):
        product.execute(f"DELETE FROM {table}")
    report = (await product.call("POST", IMPORT, exported.text.encode())).json()
    assert (report["rows"], report["new"]) == (3, 3)
    assert await in_force(product) == labels


GOOD = b'{"query": "a", "agent": "hr"}'
CHAT = {"role": "user", "content": "a"}


@pytest.mark.parametrize(
    ("line", "param"),
    [
        (b"not json", None),
        (b"[" * 50_000, None),
        (b"7", None),
        (b'{"manifest": {}}', "query"),
        (b"{}", "query"),
        (b'{"agent": "hr"}', "query"),
        (b'{"query": 7, "agent": "hr"}', "query"),
        (b'{"query": "  ", "agent": "hr"}', "query"),
        (b'{"query": "' + b"x" * 8_001 + b'", "agent": "hr"}', "query"),
        (b'{"query": "x\\u0000", "agent": "hr"}', "query"),
        (b'{"query": "x\\ud800", "agent": "hr"}', "query"),
        (b'{"query": "b"}', "agent"),
        (b'{"query": "b", "agent": 7}', "agent"),
        (b'{"query": "b", "agent": ""}', "agent"),
        (b'{"query": "b", "agent": "ceo"}', "agent"),
        (b'{"query": "b", "agent_id": "ceo"}', "agent_id"),
        (b'{"query": "A ", "agent": "it_support"}', "agent"),
        (b'{"messages": 7}', "messages"),
        (json.dumps({"messages": [CHAT]}).encode(), "messages"),
        (json.dumps({"messages": [CHAT, {"role": "assistant"}]}).encode(), "messages"),
        (
            json.dumps({"messages": [CHAT, {"role": "assistant", "content": "hr"}]}).encode(),
            "messages",
        ),
        (b'{"prompt": "a", "completion": "b"}', "messages"),
        (b'{"query": "b", "agent": "hr", "agent": "hr"}', "agent"),
        (b'{"query": "b", "agent": "hr", "agent_id": "it_support"}', "agent_id"),
        (b'{"query": "b", "agent": "hr", "agent_id": null}', "agent_id"),
    ],
)
async def test_a_line_that_is_wrong(product: Product, line: bytes, param: str | None) -> None:
    await assert_refused(product, GOOD + b"\n" + line + b"\n" + GOOD, (2, param))


@pytest.mark.parametrize(
    ("body", "line", "param"),
    [
        (b"question;agent\na;hr\n", 1, None),
        (b"query,agent,query\na,hr,b\n", 1, "query"),
        (b"query,agent,agent_id\na,hr,it_support\n", 2, "agent_id"),
        (b"query\na\n", 1, None),
        (b"agent\nhr\n", 1, None),
        (b"query,agent\na,hr\nb,ceo\n", 3, "agent"),
        (b"query,agent\na,hr\nb\n", 3, None),
        (b'query,agent\n"a\nb",hr\n,hr\n', 4, "query"),
        (b"query,agent\na,\n", 2, "agent"),
        (b'query,agent\na,hr\n"b,hr\n', 3, None),
        (b"query,agent\n" + b"x" * 200_000 + b",hr\n", 2, None),
        (b"query,agent\nd\xc3\xa9j\xc3\xa0,hr\nb\xff,hr\n", 3, None),
        (b"query,agent\na,hr\nb\x81,hr\n", 3, None),
        ("query,agent\na,hr\n".encode("utf-16") + b"x", 3, None),
    ],
)
async def test_a_csv_file_that_is_wrong(
    product: Product, body: bytes, line: int, param: str | None
) -> None:
    await assert_refused(product, body, (line, param), words="format=csv")


async def test_every_wrong_line_is_counted_and_the_first_100_are_told(product: Product) -> None:
    body = jsonl(*({"query": f"q{n}", "agent": "ceo"} for n in range(250)))
    answered = await product.call("POST", IMPORT, body)
    content = answered.json()
    assert (len(content["errors"]), content["error_count"]) == (100, 250)
    assert content["errors"][99]["line"] == 100
    assert "250" in content["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"\n\n", b"\xef\xbb\xbf"])
async def test_an_empty_file(product: Product, body: bytes) -> None:
    for form in ("jsonl", "csv"):
        answered = await product.call("POST", f"{IMPORT}?format={form}", body)
        assert (answered.status, answered.json()["error"]["code"]) == (400, "empty_file")


async def test_the_limits(product: Product) -> None:
    table = b"query,agent\na,hr\n"
    fits = table + (b" " * 79_999 + b"\n") * 100
    fits = fits[: 8_000_000 - 1] + b"\n"
    assert (await product.call("POST", IMPORT, fits)).status == 200
    answered = await product.call("POST", IMPORT, fits + b" \n")
    assert (answered.status, answered.json()["error"]["code"]) == (413, "body_too_large")
    assert "JSON Lines" in answered.json()["error"]["message"]
    rows = b'{"query": "a", "agent": "hr"}\n'
    assert (await product.call("POST", IMPORT, rows * MAX_ROWS)).status == 200
    # What is wrong with a line is found at once, and lines that are wrong count too.
    answered = await product.call("POST", IMPORT, rows + b"0\n" * MAX_ROWS)
    assert (answered.status, answered.json()["error"]["code"]) == (400, "too_many_lines")


async def test_no_statement_is_over_the_limits_of_d1(product: Product) -> None:
    rows = [{"query": f"{n} " + "語" * 7_900, "agent": "hr"} for n in range(330)]
    product.database.statements.clear()
    report = await product.call("POST", IMPORT, jsonl(*rows))
    assert report.json()["new"] == 330
    for statement in product.database.statements:
        assert len(statement.sql) < 100_000
        assert all(len(str(value).encode()) < 2_000_000 for value in statement.parameters)


async def test_it_is_written_whole_or_not_at_all(product: Product) -> None:
    product.execute(
        "CREATE TRIGGER full BEFORE INSERT ON labels WHEN new.query = 'q4999'"
        " BEGIN SELECT raise(ABORT, 'disk full'); END"
    )
    body = jsonl(*({"query": f"q{n}", "agent": "hr"} for n in range(5_000)))
    answered = await product.call("POST", IMPORT, body)
    assert answered.status == 503
    assert await in_force(product) == {}
    assert await audit(product) == []
