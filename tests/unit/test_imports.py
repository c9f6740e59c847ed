"""Imports as a whole: an export comes in again as it went out, large files are read as they come,
and an import can be rolled back."""

import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.controlplane.labels.imports import MAX_HELD_BYTES
from edgeneuro.domain.conversation import NOTHING_BEFORE, PreviousTurn
from edgeneuro.domain.label import LabelEvent, LabelSource
from edgeneuro.domain.query import query_hash
from edgeneuro.settings import Settings
from edgeneuro.store.database import Statement
from edgeneuro.store.datasets import current_label_state, labels_at
from edgeneuro.store.labels import record_labels
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import SCHEMA, Answered, Product, add_agents
from tests.unit.invocations import delete_expired
from tests.unit.test_import import IMPORT, assert_refused, in_force, jsonl

EXPORT = "/v1/datasets/export"


@pytest.fixture
def other_database() -> Iterator[SqliteDatabase]:
    database = SqliteDatabase(SCHEMA)
    yield database
    database.close()


@pytest.fixture
async def other(other_database: SqliteDatabase, settings: Settings) -> Product:
    """Another installation with the same agents."""
    product = Product(other_database, settings)
    return await add_agents(product)


# A third of the questions is asked alone.
TURNS = [
    NOTHING_BEFORE,
    PreviousTurn("hr", "Book a room", '{"message": "Which \\"hotel\\"?"}\n- none: x'),
    PreviousTurn(None, None, "long " * 197 + "Which one?"),
]


async def label_at_random(product: Product, questions: int, *, about: str = "it") -> None:
    picked = random.Random(7)
    sources: list[LabelSource] = ["hand", "bulk", "import", "feedback"]
    base = LabelEvent(id="", query="q", agent_id=None, labeler="", source="hand", created_ms=0)
    events = [
        replace(
            base,
            id=f"lab_{number:06}_{vote}",
            query=f"question {number} about {about}",
            previous=TURNS[number % len(TURNS)],
            agent_id=picked.choice(["hr", "it_support", "general", None]),
            labeler=picked.choice(["ann", "bob", "key_of_another"]),
            source=picked.choice(sources),
            created_ms=1_700_000_000_000 + picked.randrange(10**10),
        )
        for number in range(questions)
        for vote in range(picked.choice([1, 1, 1, 3]))
    ]
    await product.database.batch(record_labels(events))


async def imported(product: Product, body: bytes, words: str = "", **more: Any) -> Any:
    answered = await product.call("POST", f"{IMPORT}?{words}", body, **more)
    assert answered.status == 200, answered.text
    return answered.json()


async def exported(product: Product, words: str = "format=flat") -> bytes:
    return (await product.call("GET", f"{EXPORT}?{words}")).text.encode()


async def labeler(product: Product) -> tuple[str, str]:
    body = {"name": "labeler", "scopes": ["label"]}
    made = (await product.call("POST", "/v1/keys", body)).json()
    return made["id"], made["key"]


def error(answered: Answered) -> tuple[int, str, str | None]:
    found = answered.json()["error"]
    return answered.status, found["code"], found["param"]


# Out and in again


async def test_an_export_is_the_same_after_an_import(product: Product, other: Product) -> None:
    """Splits, labelers, times and sources; they were lost."""
    await label_at_random(product, 300)
    file = await exported(product)
    assert {json.loads(line)["labeler"] for line in file.splitlines()} == {
        "ann",
        "bob",
        "key_of_another",
    }
    report = await imported(other, file)
    assert (report["new"], report["split_kept"]) == (300, 0)
    assert await exported(other) == file
    assert (await imported(product, file))["unchanged"] == 300


async def test_an_export_of_before_has_no_source(product: Product) -> None:
    row = {"query": "Leave?", "agent": "hr", "split": "test", "labeler": "me"}
    await imported(product, jsonl({**row, "labelled_at": "2027-01-15T08:00:00.000Z"}))
    [line] = (await exported(product)).splitlines()
    assert json.loads(line) == {
        **row,
        "labelled_at": "2027-01-15T08:00:00.000Z",
        "source": "import",
    }


async def test_nobody_labels_in_the_name_of_another(product: Product) -> None:
    key_id, key = await labeler(product)
    row = {"query": "Leave?", "agent": "hr", "labeler": "admin_token", "source": "hand"}
    report = await imported(product, jsonl({**row, "labelled_at": "2020-02-03"}), key=key)
    [label] = (await product.call("GET", "/v1/labels")).json()["data"]
    assert (label["labeler"], label["source"]) == (key_id, "import")
    assert [vote["labeler"] for vote in label["votes"]] == [key_id]
    assert label["origin"] == {
        "labeler": "admin_token",
        "source": "hand",
        "labelled_at": "2020-02-03T00:00:00.000Z",
    }
    assert label["import_id"] == report["id"]


async def test_an_erased_user_is_named_by_no_imported_label(product: Product) -> None:
    body = {"email": "ada@example.com", "name": "Ada", "role": "labeler"}
    user_id = (await product.call("POST", "/v1/users", body)).json()["id"]
    await imported(product, jsonl({"query": "Leave?", "agent": "hr", "labeler": user_id}))
    assert (await product.call("DELETE", f"/v1/users/{user_id}/data")).status == 200
    [label] = (await product.call("GET", "/v1/labels")).json()["data"]
    assert label["origin"]["labeler"].startswith("usr_")
    assert label["origin"]["labeler"] != user_id


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("split", "dev"),
        ("split", 1),
        ("source", "https://example.com"),
        ("labelled_at", "yesterday"),
        ("labelled_at", "2027-02-31"),
        ("labeler", 7),
        ("labeler", "x" * 129),
        ("labeler", "a\nb"),
    ],
)
async def test_metadata_that_is_wrong(product: Product, field: str, value: Any) -> None:
    row = {"query": "Leave?", "agent": "hr", field: value}
    answered = await assert_refused(product, jsonl(row), (1, field))
    assert "metadata=ignore" in answered.json()["errors"][0]["message"]
    assert (await imported(product, jsonl(row), "metadata=ignore"))["new"] == 1
    [label] = (await product.call("GET", "/v1/labels")).json()["data"]
    assert (label["origin"], label["split"]) == (None, "train")


async def test_a_question_stays_in_its_part_whatever_a_file_says(product: Product) -> None:
    await product.call("POST", "/v1/labels", [{"query": "Leave?", "agent_id": "hr"}])
    body = jsonl(
        {"query": "leave!", "agent": "hr", "split": "test"},
        {"query": "VPN", "agent": "it_support", "split": "validation"},
        {"query": "Printer", "agent": "it_support", "split": ""},
    )
    for words in ("dry_run=true", ""):
        report = await imported(product, body, words)
        assert (report["new"], report["split_kept"]) == (3, 1)
    labels = (await product.call("GET", "/v1/labels")).json()["data"]
    assert {label["query"]: label["split"] for label in labels} == {
        "Leave?": "train",
        "leave!": "train",
        "VPN": "validation",
        "Printer": "train",
    }


async def test_imported_labels_are_votes(product: Product) -> None:
    """The check counts what the import does."""
    keys = [(await labeler(product))[1] for _ in range(2)]
    for key in keys:
        items = [{"query": query, "agent_id": "hr"} for query in ("a", "b")]
        await product.call("POST", "/v1/labels", items[: 1 if key == keys[1] else 2], key=key)
    final = [{"query": "c", "agent_id": "hr", "final": True}]
    await product.call("POST", "/v1/labels", final)
    rows = [{"query": query, "agent": "general"} for query in "abcd"]
    key = (await labeler(product))[1]
    for words in ("dry_run=true", ""):
        report = await imported(product, jsonl(*rows), words, key=key)
        counts = {name: report[name] for name in ("new", "changed", "outvoted", "unchanged")}
        assert counts == {"new": 1, "changed": 1, "outvoted": 2, "unchanged": 0}
    found = {"a": "hr", "b": "general", "c": "hr", "d": "general"}
    assert await in_force(product) == found
    before = product.rows("SELECT count(*) AS n FROM labels")
    again = await imported(product, jsonl(*rows), key=key)
    assert (again["outvoted"], again["unchanged"]) == (2, 2)
    assert product.rows("SELECT count(*) AS n FROM labels") == before, "not voted for twice"


# Large files


async def test_an_export_larger_than_what_is_held_comes_in_again(
    product: Product, other: Product
) -> None:
    """12.6 MB of the product's own export were a 413."""
    await label_at_random(product, 1_000, about="something" * 800)
    file = await exported(product, "format=chat&manifest=true")
    assert len(file) > MAX_HELD_BYTES
    statements = other.database.statements
    statements.clear()
    assert (await imported(other, gzip.compress(file)))["new"] == 1_000
    assert max(len(str(value)) for one in statements for value in one.parameters) < 600_000
    assert len(statements) < 100
    assert await in_force(other) == await in_force(product)
    assert other.rows("SELECT * FROM import_rows") == []
    assert (await imported(other, file, "dry_run=true"))["unchanged"] == 1_000


def large(*last: bytes) -> bytes:
    """A file that is read as it comes, with 99 lines before `last`."""
    lines = [json.dumps({"query": f"q{n}", "agent": "hr", "x": "y" * 90_000}) for n in range(99)]
    return "".join(line + "\n" for line in lines).encode() + b"\n".join(last)


@pytest.mark.parametrize(
    ("last", "param"),
    [
        (b"not json", None),
        (b'{"query": "\xff", "agent": "hr"}', None),
        (b'{"query": "q7", "agent": "general"}', "agent"),
        (b'{"query": "a", "agent": "ceo"}', "agent"),
        (b'{"query": "' + b"x" * 2_000_000 + b'", "agent": "hr"}', None),
    ],
)
async def test_a_wrong_line_of_a_large_file(
    product: Product, last: bytes, param: str | None
) -> None:
    body = large(last, b'{"query": 7}', b"")
    await assert_refused(product, body, (100, param), (101, "query"))
    assert product.rows("SELECT * FROM import_rows") == []


async def test_every_fault_of_a_large_file_is_counted(product: Product) -> None:
    wrong = [b'{"query": "a"}'] * 500
    answered = await product.call("POST", IMPORT, large(*wrong))
    assert (len(answered.json()["errors"]), answered.json()["error_count"]) == (100, 500)


async def test_a_large_file_of_another_kind_says_what_may_be_large(product: Product) -> None:
    for start in (b"query,agent\n", b"[", "{".encode("utf-16")):
        answered = await product.call("POST", IMPORT, start + b"x" * MAX_HELD_BYTES)
        assert error(answered) == (413, "body_too_large", None)
        assert "JSON Lines in UTF-8" in answered.json()["error"]["message"]


async def test_rows_of_a_file_whose_reading_did_not_end_are_deleted(product: Product) -> None:
    product.execute(
        "INSERT INTO import_rows SELECT 'imp_dead', 1, 'q', 'n', 'text', NULL, NULL, NULL,"
        f" {product.services.now_ms()}, NULL, NULL, NULL"
    )
    await delete_expired(product.services)
    assert len(product.rows("SELECT * FROM import_rows")) == 1
    product.clock.seconds += 3_601
    await delete_expired(product.services)
    assert product.rows("SELECT * FROM import_rows") == []


@pytest.mark.parametrize("split", [None, "train"])
async def test_the_parts_of_many_questions_are_assigned_in_one_pass(
    product: Product, split: str | None
) -> None:
    """No statement reads one intermediate table for each row of another one."""
    statements = product.database.statements
    statements.clear()
    await imported(product, jsonl({"query": "a", "agent": "hr", "split": split}))
    assigning = [one for one in statements if "INSERT INTO splits" in one.sql]
    assert len(assigning) == 2
    for one in assigning:
        plan = await product.database.run(
            Statement(f"EXPLAIN QUERY PLAN {one.sql}", one.parameters)
        )
        assert not [row for row in plan if row["detail"].startswith("MATERIALIZE placed")]


# Rolled back


async def test_an_import_is_rolled_back(product: Product) -> None:
    key_id, key = await labeler(product)
    await product.call("POST", "/v1/labels", [{"query": "a", "agent_id": "hr"}])
    body = jsonl(*({"query": query, "agent": "general"} for query in "abc"))
    report = await imported(product, body, key=key)
    await product.call("POST", "/v1/labels", [{"query": "c", "agent_id": "it_support"}])
    assert await in_force(product) == {"a": "general", "b": "general", "c": "it_support"}
    path = f"/v1/datasets/imports/{report['id']}"
    made = (await product.call("GET", path)).json()
    assert (made["labels"], made["created_by"], made["rolled_back_at"]) == (3, key_id, None)
    assert made["report"] == report
    rolled_back = await product.call("DELETE", path, key=key)
    assert rolled_back.status == 200, rolled_back.text
    assert rolled_back.json()["rolled_back_by"] == key_id
    assert await in_force(product) == {"a": "hr", "c": "it_support"}
    assert error(await product.call("DELETE", path)) == (409, "rolled_back", "import_id")
    listed = (await product.call("GET", "/v1/datasets/imports")).json()["data"]
    assert listed == [rolled_back.json()]
    audited = (await product.call("GET", "/v1/audit?resource=dataset")).json()["data"]
    assert [(each["action"], each["resource_id"]) for each in audited] == [
        ("roll_back", report["id"]),
        ("import", report["id"]),
    ]
    history = f"/v1/labels/{query_hash('b')}/history"
    [entry] = (await product.call("GET", history)).json()["data"]
    assert (entry["withdrawn"], entry["import_id"]) == (True, report["id"])
    assert (await imported(product, body, key=key))["new"] == 1, "b has no label any more"


async def test_who_may_roll_back(product: Product) -> None:
    keys = [(await labeler(product))[1] for _ in range(2)]
    report = await imported(product, jsonl({"query": "a", "agent": "hr"}), key=keys[0])
    path = f"/v1/datasets/imports/{report['id']}"
    assert error(await product.call("DELETE", path, key=keys[1]))[0] == 403
    assert (await product.call("DELETE", path)).status == 200
    unknown = await product.call("DELETE", "/v1/datasets/imports/imp_none")
    assert error(unknown) == (404, "unknown_import", "import_id")


async def test_an_import_that_writes_nothing_is_not_listed(product: Product) -> None:
    body = jsonl({"query": "a", "agent": "hr"})
    await imported(product, body)
    for words in ("", "dry_run=true"):
        assert (await imported(product, body, words))["id"] is None
    page = (await product.call("GET", "/v1/datasets/imports?limit=1")).json()
    assert (len(page["data"]), page["has_more"]) == (1, False)


async def test_an_export_of_a_moment_before_the_roll_back_stays_as_it_was(
    product: Product,
) -> None:
    report = await imported(product, jsonl({"query": "a", "agent": "hr"}))
    moment = await current_label_state(product.database)
    await product.call("DELETE", f"/v1/datasets/imports/{report['id']}")
    then = [row.query async for row in labels_at(product.database, moment, by_near_hash=False)]
    assert then == ["a"]
    assert await exported(product) == b""
