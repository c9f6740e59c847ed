"""Bodies that are compressed, or begin with a BOM."""

import gzip
import json
import zlib
from typing import Any

import pytest

from tests.unit.conftest import Answered, Product, says

QUERY = {"query": "Leave?"}
RAW = json.dumps(QUERY).encode()


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


async def route(product: Product, body: bytes, encoding: str | None) -> Answered:
    product.gateway.enqueue(says("hr"))
    headers = {} if encoding is None else {"content-encoding": encoding}
    return await product.call("POST", "/v1/route", body, headers=headers)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"\xef\xbb\xbf" + RAW, None),
        (RAW, "identity"),
        (RAW, ""),
        (gzip.compress(RAW), "gzip"),
        (gzip.compress(RAW), " X-GZIP "),
        (gzip.compress(RAW[:5]) + gzip.compress(RAW[5:]), "gzip"),
        (gzip.compress(b"\xef\xbb\xbf" + RAW), "gzip"),
        (zlib.compress(RAW), "deflate"),
        (raw_deflate(RAW), "deflate"),
    ],
)
async def test_bodies_that_are_read(product: Product, body: bytes, encoding: str | None) -> None:
    answered = await route(product, body, encoding)
    assert answered.status == 200, answered.text


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "\x00"])
async def test_an_unknown_encoding(product: Product, encoding: str) -> None:
    answered = await route(product, RAW, encoding)
    error = answered.json()["error"]
    assert (answered.status, error["code"]) == (415, "unsupported_encoding")
    assert error["param"] == "Content-Encoding"
    assert answered.headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (RAW, "gzip"),
        (b"", "gzip"),
        (gzip.compress(RAW)[:-3], "gzip"),
        (gzip.compress(RAW) + b"more", "gzip"),
        (zlib.compress(RAW)[:-1], "deflate"),
        (b"\x78\x9c" + b"\xff" * 20, "deflate"),
    ],
)
async def test_what_is_not_of_its_encoding(product: Product, body: bytes, encoding: str) -> None:
    answered = await route(product, body, encoding)
    assert (answered.status, answered.json()["error"]["code"]) == (400, "invalid_encoding")


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, raw_deflate])
async def test_a_body_that_is_too_large_once_decompressed_is_refused(
    product: Product, compress: Any
) -> None:
    encoding = "gzip" if compress is gzip.compress else "deflate"
    bomb = compress(b" " * 50_000_000)
    assert len(bomb) < 64 * 1024
    answered = await route(product, bomb, encoding)
    assert (answered.status, answered.json()["error"]["code"]) == (413, "body_too_large")
    fits = await route(product, compress(RAW.ljust(64 * 1024)), encoding)
    assert fits.status == 200


async def test_a_file_may_be_compressed_too(product: Product) -> None:
    lines = b'{"query": "Leave?", "agent": "hr"}\n'
    answered = await product.call(
        "POST",
        "/v1/datasets/import",
        gzip.compress(lines),
        headers={"content-encoding": "gzip"},
    )
    assert answered.status == 200, answered.text


async def test_a_repeated_request_is_the_same_whether_compressed_or_not(product: Product) -> None:
    agent = json.dumps({"id": "legal", "name": "Legal", "description": "Contracts."}).encode()
    once = {"idempotency-key": "k"}
    assert (await product.call("POST", "/v1/agents", agent, headers=once)).status == 201
    again = await product.call(
        "POST", "/v1/agents", gzip.compress(agent), headers={**once, "content-encoding": "gzip"}
    )
    assert again.headers["idempotent-replayed"] == "true"
