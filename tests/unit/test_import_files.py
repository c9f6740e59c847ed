"""Files of labels as people have them: encodings, line ends, separators, forms, archives, and
agents by other names."""

import gzip
import io
import json
import zipfile

import pytest

from edgeneuro.controlplane.labels.imports import MAX_HELD_BYTES
from tests.unit.conftest import Product
from tests.unit.test_import import IMPORT, assert_refused, in_force

TABLE = "query,agent\nWo ist die Küche?,general\nUrlaub für 5 €?,hr\n"
LABELS = {"Wo ist die Küche?": "general", "Urlaub für 5 €?": "hr"}
LINES = "".join(
    json.dumps({"query": query, "agent": agent}, ensure_ascii=False) + "\n"
    for query, agent in LABELS.items()
)
ARRAY = json.dumps([{"query": q, "agent": a} for q, a in LABELS.items()], indent=2)


def with_separator(separator: str) -> str:
    return TABLE.replace(",", separator)


def a_form(content: bytes, *, name: str = "file", more: bytes = b"") -> bytes:
    head = f'--xyz\r\nContent-Disposition: form-data; name="{name}"; filename="a.csv"\r\n\r\n'
    return head.encode() + content + b"\r\n" + more + b"--xyz--\r\n"


def a_zip(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, TABLE)
    return file.getvalue()


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (TABLE.encode(), "utf-8"),
        (TABLE.encode("utf-8-sig"), "utf-8"),
        (TABLE.encode("utf-16"), "utf-16"),
        (TABLE.encode("utf-16-le"), "utf-16"),
        (TABLE.encode("utf-16-be"), "utf-16"),
        (b"\xfe\xff" + TABLE.encode("utf-16-be"), "utf-16"),
        (TABLE.encode("utf-32"), "utf-32"),
        (TABLE.encode("cp1252"), "cp1252"),
        (LINES.encode("utf-16"), "utf-16"),
        (LINES.encode("cp1252"), "cp1252"),
        (ARRAY.encode(), "utf-8"),
        (ARRAY.encode("utf-16"), "utf-16"),
        (b"  \n" + ARRAY.encode(), "utf-8"),
        (TABLE.replace("\n", "\r").encode(), "utf-8"),
        (TABLE.replace("\n", "\r\n").encode(), "utf-8"),
        (LINES.replace("\n", "\r").encode(), "utf-8"),
        (with_separator(";").encode(), "utf-8"),
        (with_separator("\t").encode(), "utf-8"),
        (b"sep=;\r\n" + with_separator(";").encode(), "utf-8"),
        (("sep=\t\n" + with_separator("\t")).encode("utf-16"), "utf-16"),
        ((TABLE + ",\n , \n\n").encode(), "utf-8"),
        (TABLE.replace("\n", ",,\n").encode(), "utf-8"),
        (TABLE.replace("query,agent", '"Query", Agent ').encode(), "utf-8"),
        (gzip.compress(TABLE.encode()), "utf-8"),
        (gzip.compress(LINES.encode("utf-16")), "utf-16"),
        (a_form(TABLE.encode()), "utf-8"),
        (a_form(gzip.compress(LINES.encode())), "utf-8"),
    ],
)
async def test_what_people_have_is_read(product: Product, body: bytes, encoding: str) -> None:
    answered = await product.call("POST", IMPORT, body)
    assert answered.status == 200, answered.text
    assert answered.json()["encoding"] == encoding
    assert await in_force(product) == LABELS


async def test_a_quoted_separator_is_text(product: Product) -> None:
    body = b'sep=;\nquery;agent\n"a; b, c";hr\n'
    assert (await product.call("POST", IMPORT, body)).status == 200
    assert await in_force(product) == {"a; b, c": "hr"}


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (a_zip("xl/workbook.xml"), "unsupported_file", ".xlsx"),
        (a_zip("labels.csv"), "unsupported_file", "zip"),
        (gzip.compress(a_zip("labels.csv")), "unsupported_file", "zip"),
        (b"\xd0\xcf\x11\xe0" + bytes(600), "unsupported_file", ".xls"),
        (gzip.compress(TABLE.encode())[:-12], "unsupported_file", "gzip"),
        (b"\x1f\x8b" + b"x" * 50, "unsupported_file", "gzip"),
        (a_form(TABLE.encode())[:-12], "invalid_form", "form"),
        (a_form(TABLE.encode(), more=a_form(b"x")[:-9]), "invalid_form", "one file"),
    ],
)
async def test_what_cannot_be_read_is_named(
    product: Product, body: bytes, code: str, words: str
) -> None:
    answered = await product.call("POST", IMPORT, body)
    assert (answered.status, answered.json()["error"]["code"]) == (400, code), answered.text
    assert words in answered.json()["error"]["message"]


async def test_a_small_file_that_unfolds_to_much_is_refused(product: Product) -> None:
    bomb = gzip.compress(b" " * (MAX_HELD_BYTES + 1))
    assert len(bomb) < 20_000
    answered = await product.call("POST", IMPORT, bomb)
    assert (answered.status, answered.json()["error"]["code"]) == (413, "body_too_large")


async def test_a_field_named_like_another_format_is_a_field(product: Product) -> None:
    rows = [
        {"query": "a", "agent": "hr", "manifest": "of the ship"},
        {"query": "b", "agent": "hr", "completion": "x", "prompt": "y"},
        {"query": "c", "agent": "none", "agent_id": None, "messages": 3},
    ]
    body = "".join(json.dumps(row) + "\n" for row in rows).encode()
    answered = await product.call("POST", IMPORT, body)
    assert answered.status == 200, answered.text
    assert await in_force(product) == {"a": "hr", "b": "hr", "c": None}


async def test_the_items_of_an_array_are_counted(product: Product) -> None:
    body = b'[{"query": "a", "agent": "hr"},\n 7, {"query": "", "agent": "hr"}]'
    await assert_refused(product, body, (2, None), (3, "query"))
    await assert_refused(product, b'[{"query": "a"', (1, None))


@pytest.mark.parametrize("size", [8_001, 200_000])
async def test_a_cell_that_is_too_long_says_what_is_allowed(product: Product, size: int) -> None:
    answered = await assert_refused(
        product,
        b"query,agent\n" + b"x" * size + b",hr\n",
        (2, "query" if size < 100_000 else None),
    )
    assert "8,000 characters" in answered.json()["errors"][0]["message"]


async def test_agents_are_found_by_other_spellings(product: Product) -> None:
    for agent_id, name in (("reverted_card_payment", "Card"), ("twin-a", "Twin"), ("b", "Twin")):
        body = {"id": agent_id, "name": name, "description": "d"}
        assert (await product.call("POST", "/v1/agents", body)).status == 201
    rows = {
        "a": "reverted_card_payment?",
        "b": "HR",
        "c": "Human  Resources",
        "d": "IT Support",
        "e": "twin_a",
    }
    lines = "query,agent\n" + "".join(f"{query},{agent}\n" for query, agent in rows.items())
    answered = await product.call("POST", f"{IMPORT}?dry_run=true", lines.encode())
    assert answered.status == 200, answered.text
    assert answered.json()["mapped"] == {
        "reverted_card_payment?": "reverted_card_payment",
        "HR": "hr",
        "Human  Resources": "hr",
        "IT Support": "it_support",
        "twin_a": "twin-a",
    }
    for name in ("Twin", "???", "Refund_not_showing_up"):
        await assert_refused(product, f"query,agent\na,{name}\n".encode(), (2, "agent"))


async def test_others_have_their_turn_during_an_import_and_an_export(product: Product) -> None:
    pauses = 0
    sleep = product.clock.sleep

    async def counted(seconds: float) -> None:
        nonlocal pauses
        pauses += 1
        await sleep(seconds)

    product.services.__dict__["sleep"] = counted
    body = "".join(f"question {n} {'x' * 1_000},hr\n" for n in range(1_000)).encode()
    assert (await product.call("POST", IMPORT, b"query,agent\n" + body)).status == 200
    assert pauses >= 1_000_000 / 100_000 + 1_000_000 // 300_000
    pauses = 0
    exported = await product.call("GET", "/v1/datasets/export?format=flat")
    assert exported.text.count("\n") == 1_000
    assert pauses >= 10
