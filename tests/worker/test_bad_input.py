"""Bad input over HTTP: a 4xx in the one shape that names the field, never a stack trace."""

import json
import socket
import uuid
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.worker.product import Product


def assert_error(
    response: httpx.Response, status: int, code: str, param: str | None = None
) -> None:
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body["error"]) == {"message", "type", "code", "param"}
    assert (body["error"]["code"], body["error"]["param"]) == (code, param)
    assert response.headers["x-request-id"] == body["request_id"]
    assert "Traceback" not in response.text


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "invalid_json", None),
        (b"not json", "invalid_json", None),
        (b'{"query": "\xff"}', "invalid_json", None),
        (b"[" * 50_000, "invalid_json", None),
        (b"[]", "invalid_value", None),
        (b"{}", "missing_field", "query"),
        (b'{"query": 7}', "invalid_value", "query"),
        (b'{"query": "   "}', "invalid_value", "query"),
        (b'{"query": "a\\u0000b"}', "invalid_value", "query"),
        (b'{"query": "' + b"a" * 8_001 + b'"}', "invalid_value", "query"),
        (b'{"query": "a", "candidates": ["ceo"]}', "unknown_agent", "candidates[0]"),
        (b'{"query": "a", "nonsense": 1}', "unknown_field", "nonsense"),
    ],
)
def test_bodies(client: httpx.Client, body: bytes, code: str, param: str | None) -> None:
    assert_error(client.post("/v1/route", content=body), 400, code, param)


def test_nested_json_does_not_end_the_isolate(client: httpx.Client, emulator: httpx.Client) -> None:
    """Somebody else's stream, which is in progress meanwhile, comes to its end."""
    nested = '{"a":' * 9_000 + "1" + "}" * 9_000
    model = "@cf/ibm-granite/granite-4.0-h-micro"
    faults = {model: {"kind": "drip", "delay_ms": 150}, "*": {"kind": "text", "answer": nested}}
    emulator.put("/_local/faults", json=faults).raise_for_status()
    chat = {"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": True}
    with client.stream("POST", "/v1/chat/completions", json=chat) as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("data: ")
        for method, path, code in (
            ("POST", "/v1/route", "invalid_json"),
            ("POST", "/v1/chat/completions", "invalid_json"),
            ("POST", "/v1/agents", "invalid_json"),
            ("PATCH", "/v1/config", "invalid_json"),
            ("POST", "/v1/labels", "invalid_json"),
            ("POST", "/v1/datasets/import", "invalid_lines"),
        ):
            assert_error_code(client.request(method, path, content=nested), code)
        files = {"adapter_config.json": nested.encode(), "adapter_model.safetensors": b"x"}
        fields = {"name": "nested-v1", "base_model": "@cf/google/gemma-2b-it-lora"}
        lora = client.post("/v1/loras/preflight", data=fields, files=files)
        assert lora.status_code == 200, lora.text
        said = client.post("/v1/route", json={"query": "nested JSON", "cache": False})
        assert (said.status_code, said.json()["reason"]) == (200, "invalid_output")
        assert list(lines)[-2:] == ["data: [DONE]", ""]


def assert_error_code(response: httpx.Response, code: str) -> None:
    assert (response.status_code, response.json()["error"]["code"]) == (400, code)


def test_a_body_over_64_kb(client: httpx.Client) -> None:
    assert_error(client.post("/v1/agents", content=b" " * 65_537), 413, "body_too_large")
    fits = client.post(
        "/v1/feedback", content=b'{"decision_id": "dec_1", "value": "up"}'.ljust(65_536)
    )
    assert fits.status_code == 404


def test_a_body_over_64_kb_that_does_not_say_its_length(client: httpx.Client) -> None:
    parts = (b" " * 10_000 for _ in range(10))
    assert_error(client.post("/v1/agents", content=parts), 413, "body_too_large")


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [("/v1/route", "", 413), ("/v1/route", "wrong", 401), ("/no", "", 404)],
)
def test_a_huge_body_gets_its_answer_and_leaves_the_connection_usable(
    client: httpx.Client, path: str, key: str, status: int
) -> None:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    for _ in range(3):
        refused = client.post(path, content=b" " * 5_000_000, headers=headers)
        assert refused.status_code == status
        assert client.get("/healthz").status_code == 200


def test_a_query_of_8000_characters_in_any_script(client: httpx.Client) -> None:
    for character in ("x", "ß", "語", "🙂"):
        content = ('{"query": "' + character * 8_000 + '"}').encode()
        assert client.post("/v1/route", content=content).status_code == 200


@pytest.mark.parametrize("model_id", ["gpt-99", "@cf/meta/", "' OR 1=1 --"])
def test_an_unknown_model(client: httpx.Client, model_id: str) -> None:
    response = client.post("/v1/models/select", json={"model_id": model_id})
    assert_error(response, 400, "model_not_found", "model_id")
    active = [m["id"] for m in client.get("/v1/models").json()["data"] if m["active"]]
    assert active == ["@cf/meta/llama-3.2-1b-instruct"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/route", "POST"),
        ("PUT", "/v1/agents", "GET, POST, DELETE"),
        ("POST", "/healthz", "GET"),
    ],
)
def test_a_wrong_method(client: httpx.Client, method: str, path: str, allow: str) -> None:
    response = client.request(method, path)
    assert_error(response, 405, "method_not_allowed")
    assert response.headers["allow"] == allow


def test_an_exotic_method(product: Product) -> None:
    # Sent by hand: no client library takes such a verb.
    url = urlsplit(product.base_url)
    with socket.create_connection((url.hostname, url.port), timeout=30) as connection:
        connection.sendall(
            b"BREW /v1/route HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        )
        with connection.makefile("rb") as answer:
            assert answer.readline().split()[1] in (b"400", b"405", b"501")


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/nothing/", "/v1/agents/a/b"])
def test_an_unknown_path(client: httpx.Client, path: str) -> None:
    assert_error(client.get(path), 404, "unknown_path")


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "x"}])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/route"),
        ("GET", "/v1/models"),
        ("POST", "/v1/models/select"),
        ("GET", "/v1/agents"),
        ("DELETE", "/v1/agents/hr"),
        ("GET", "/v1/logs"),
        ("GET", "/metrics"),
    ],
)
def test_without_the_right_key(
    anonymous: httpx.Client, method: str, path: str, headers: dict[str, str]
) -> None:
    response = anonymous.request(method, path, headers=headers)
    assert_error(response, 401, "invalid_api_key")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("change", "param"),
    [({"id": "Not An Id"}, "id"), ({"name": ""}, "name"), ({"examples": [7]}, "examples[0]")],
)
def test_a_bad_agent(client: httpx.Client, change: dict[str, Any], param: str) -> None:
    body = {"id": "bad", "name": "Bad", "description": "Bad.", **change}
    assert_error(client.post("/v1/agents", json=body), 400, "invalid_value", param)
    assert client.get("/v1/agents/bad").status_code == 404


def test_a_bad_cursor_page(client: httpx.Client) -> None:
    response = client.get("/v1/logs", params={"limit": 1001})
    assert_error(response, 400, "invalid_value", "limit")


def test_a_client_that_hangs_up_while_it_sends(client: httpx.Client, product: Product) -> None:
    if product.state is None:
        pytest.skip("the log of a deployment is elsewhere")
    url, request_id = urlsplit(product.base_url), f"leaving-{uuid.uuid4().hex}"
    head = (
        f"POST /v1/route HTTP/1.1\r\nhost: localhost\r\nx-request-id: {request_id}\r\n"
        f"authorization: Bearer {product.admin_token}\r\ncontent-length: 1000\r\n\r\n"
    )
    with socket.create_connection((url.hostname, url.port), timeout=30) as connection:
        connection.sendall(head.encode() + b'{"query": "hel')
    log = product.state / "edgeneuro" / "wrangler.log"
    for _ in range(200):
        assert client.get("/v1/me").status_code == 200  # time for the line to be written
        lines = [line for line in log.read_text().splitlines() if request_id in line]
        if lines:
            break
    [line] = [json.loads(line) for line in lines]
    assert (line["status"], line["error_code"]) == (499, "client_closed_request")
    assert "exception" not in line
