"""Data sets over HTTP: labels in from files, out for trainers, read by the trainers' library."""

import gzip
import hashlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from datasets import load_dataset

from tests.worker.product import Product

QUERIES = 1_500
SHAPES = ("chat", "prompt", "flat")


@pytest.fixture(scope="module")
def labelled(product: Product) -> Iterator[httpx.Client]:
    """A client of a product with labels of three kinds, among them text that is easily damaged.
    They are rolled back, like those of the largest import: later tests read all labels."""
    agents = ("it_support", "hr", "none")
    rows = [
        {"query": f'Frage "{n}", \u2028 größer 🙂 als {n}?', "agent": agents[n % 3]}
        for n in range(QUERIES)
    ]
    headers = {"authorization": f"Bearer {product.admin_token}"}
    with httpx.Client(base_url=product.base_url, headers=headers, timeout=60) as client:
        body = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        report = client.post("/v1/datasets/import", content=body.encode())
        assert report.status_code == 200, report.text
        assert report.json()["rows"] == QUERIES
        yield client
        roll_back(client, report)


def roll_back(client: httpx.Client, report: httpx.Response) -> None:
    client.delete(f"/v1/datasets/imports/{report.json()['id']}").raise_for_status()


def export(client: httpx.Client, **params: str) -> bytes:
    response = client.get("/v1/datasets/export", params=params)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/jsonl"
    return response.content


def loaded(tmp_path: Path, content: bytes) -> Any:
    """The file as Hugging Face's `datasets` reads it."""
    file = tmp_path / "export.jsonl"
    file.write_bytes(content)
    return load_dataset(
        "json", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache")
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_the_datasets_library_reads_every_shape(
    labelled: httpx.Client, tmp_path: Path, shape: str
) -> None:
    content = export(labelled, format=shape)
    data = loaded(tmp_path, content)
    lines = [json.loads(line) for line in content.split(b"\n")[:-1]]
    assert data.num_rows == len(lines) >= QUERIES
    names = {
        "chat": ["messages"],
        "prompt": ["prompt", "completion"],
        "flat": ["query", "agent", "split", "labeler", "labelled_at", "source"],
    }
    assert data.column_names == names[shape]
    if shape != "flat":
        assert data[0] == lines[0]


def test_the_prompt_is_what_the_router_sends_an_adapter(labelled: httpx.Client) -> None:
    line = json.loads(export(labelled, format="chat").split(b"\n")[0])
    *prompt, answer = line["messages"]
    adapter = next(model["id"] for model in labelled.get("/v1/models?type=lora").json()["data"])
    body = {"query": prompt[-1]["content"], "explain": True, "model": adapter}
    decision = labelled.post("/v1/route", json=body).json()
    assert decision["explanation"]["messages"] == prompt
    assert json.loads(answer["content"]).keys() == {"agent"}
    if decision["adapter"] == adapter:
        assert (decision["confidence"], decision["confidence_source"]) == (None, None)


def test_the_manifest_tells_what_follows(labelled: httpx.Client) -> None:
    first, _, rest = export(labelled, format="prompt", manifest="true").partition(b"\n")
    manifest = json.loads(first)["manifest"]
    assert manifest["sha256"] == hashlib.sha256(rest).hexdigest()
    assert manifest["rows"] == rest.count(b"\n") == sum(manifest["agents"].values())
    parts = [export(labelled, format="prompt", split=split) for split in manifest["splits"]]
    counts = dict(zip(manifest["splits"], (part.count(b"\n") for part in parts), strict=True))
    assert counts == manifest["splits"]


def test_head_and_stats(labelled: httpx.Client) -> None:
    response = labelled.head("/v1/datasets/export?format=flat&split=train")
    assert (response.status_code, response.content) == (200, b"")
    assert 'filename="edgeneuro-train-flat.jsonl"' in response.headers["content-disposition"]
    stats = labelled.get("/v1/datasets/stats").json()
    assert stats["total"]["labels"] == export(labelled, format="flat").count(b"\n")
    assert stats["out_of_scope"]["labels"] >= QUERIES // 3


def test_a_client_that_goes_away_leaves_the_product_well(
    labelled: httpx.Client, product: Product
) -> None:
    url = urlsplit(product.base_url)
    for _ in range(3):
        with socket.create_connection((url.hostname, url.port), timeout=30) as connection:
            connection.sendall(
                b"GET /v1/datasets/export?format=chat HTTP/1.1\r\nhost: localhost\r\n"
                b"authorization: Bearer " + product.admin_token.encode() + b"\r\n\r\n"
            )
            assert connection.recv(20).startswith(b"HTTP/1.1 200")
    assert labelled.get("/healthz").status_code == 200
    assert 'what="stream"' not in labelled.get("/metrics").text
    assert export(labelled, format="chat").count(b"\n") >= QUERIES


def test_an_export_comes_in_again(labelled: httpx.Client) -> None:
    content = export(labelled, format="chat", manifest="true")
    report = labelled.post("/v1/datasets/import?dry_run=true", content=content).json()
    assert report["unchanged"] == report["rows"] == content.count(b"\n") - 1


def test_a_large_export_comes_in_with_its_metadata_and_is_rolled_back(
    labelled: httpx.Client,
) -> None:
    """More than 8 MB, which is read as it comes."""
    rows = [
        {
            "query": f"Large {n} {'x' * 7_000}",
            "agent": "hr",
            "split": ("train", "test")[n % 2],
            "labeler": "usr_elsewhere",
            "labelled_at": f"2026-05-01T08:00:00.{n % 1_000:03}Z",
            "source": "feedback",
        }
        for n in range(1_250)
    ]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    assert len(content) > 8_000_000
    report = labelled.post("/v1/datasets/import", content=content, timeout=300)
    assert report.status_code == 200, report.text
    assert (report.json()["new"], report.json()["split_kept"]) == (1_250, 0)
    lines = export(labelled, format="flat", agent="hr").splitlines()
    found = [json.loads(line) for line in lines if b'"Large ' in line]
    assert sorted(found, key=lambda row: rows.index(row)) == rows
    denied = labelled.post("/v1/keys", json={"name": "other", "scopes": ["label"]}).json()
    other = {"authorization": f"Bearer {denied['key']}"}
    path = f"/v1/datasets/imports/{report.json()['id']}"
    assert labelled.delete(path, headers=other).status_code == 403
    assert labelled.delete(path).json()["labels"] == 1_250
    assert b'"Large ' not in export(labelled, format="flat", agent="hr")
    assert labelled.delete(path).status_code == 409
    assert labelled.get("/v1/datasets/imports").json()["data"][0]["rolled_back_at"]


def test_a_compressed_spreadsheet_in_a_form(labelled: httpx.Client) -> None:
    table = "sep=;\r\nquery;agent\r\nWas heißt 5 €?;HR\r\n".encode("cp1252")
    files = {"file": ("labels.csv.gz", gzip.compress(table))}
    report = labelled.post("/v1/datasets/import?dry_run=true", files=files)
    assert report.status_code == 200, report.text
    summary = report.json()
    assert (summary["new"], summary["encoding"], summary["mapped"]) == (1, "cp1252", {"HR": "hr"})


def test_a_wrong_line_is_told_and_nothing_is_imported(labelled: httpx.Client) -> None:
    before = labelled.get("/v1/datasets/stats").json()["total"]
    body = b"query,agent\r\nOne more,hr\r\nTwo more,ceo\r\n"
    response = labelled.post("/v1/datasets/import?format=csv", content=body)
    assert response.status_code == 400
    content = response.json()
    assert content["error"]["code"] == "invalid_lines"
    assert content["errors"][0]["line"] == 3
    assert labelled.get("/v1/datasets/stats").json()["total"] == before


def test_a_file_over_8_mb(labelled: httpx.Client) -> None:
    response = labelled.post("/v1/datasets/import", content=b" " * 8_000_001)
    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")


def test_without_the_right_key(anonymous: httpx.Client) -> None:
    for method, path in (("GET", "export"), ("GET", "stats"), ("POST", "import")):
        response = anonymous.request(method, f"/v1/datasets/{path}")
        assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")


def test_an_import_of_10_000_lines_and_their_export(labelled: httpx.Client) -> None:
    line = '{"query": "the question with number %08d among all those of one file", "agent": "hr"}\n'
    body = "".join(line % number for number in range(10_000)).encode()
    report = labelled.post("/v1/datasets/import", content=body, timeout=300)
    assert report.status_code == 200, report.text
    assert report.json()["new"] == 10_000
    assert export(labelled, format="flat", agent="hr").count(b"\n") >= 10_000
    roll_back(labelled, report)
