"""Photos in chats: they fit, they go to every kind of upstream as they came, and only text counts
for our own limits."""

import base64
import hashlib
import json
from typing import Any

import pytest

from edgeneuro.domain.chat import MAX_BODY_BYTES, ChatRequest
from edgeneuro.domain.images import set_images_aside
from edgeneuro.gateway.interface import ModelRequest
from edgeneuro.gateway.transports import BindingTransport, HttpsTransport
from edgeneuro.settings import Settings
from edgeneuro_testing.fetch import ScriptedFetch, ScriptedResponse
from tests.unit.chats import LLAMA, chat, talks, user
from tests.unit.conftest import Answered, Product

PHOTO = "data:image/jpeg;base64," + base64.b64encode(bytes(range(256)) * 400).decode()


def picture(url: str = PHOTO, **fields: Any) -> dict[str, Any]:
    image = {"type": "image_url", "image_url": {"url": url, **fields}}
    return {"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]}


def parsed(body: dict[str, Any] | bytes) -> ChatRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ChatRequest.read_body(raw)


async def send(product: Product, *messages: dict[str, Any], **fields: Any) -> Answered:
    product.gateway.enqueue(talks())
    return await chat(product, LLAMA, messages=list(messages), **fields)


def whole(request: ModelRequest) -> Any:
    """The messages as an upstream reads them."""
    return json.loads(b"".join(request.images.pieces(json.dumps(request.messages))))


async def test_photos_of_fifteen_megabytes_fit(product: Product) -> None:
    large = "data:image/jpeg;base64," + "A" * 7_500_000
    answered = await send(product, picture(large), user("And?"), picture(large + "B", detail="low"))
    assert answered.status == 200, answered.text
    [request] = product.gateway.requests
    assert len(json.dumps(request.messages)) < 2_000
    assert whole(request) == [picture(large), user("And?"), picture(large + "B", detail="low")]


@pytest.mark.parametrize("size", [10, 7_500_000])
async def test_the_address_of_a_picture_may_stand_alone(product: Product, size: int) -> None:
    url = "data:image/jpeg;base64," + "A" * size
    alone = {"role": "user", "content": [{"type": "image_url", "image_url": url}]}
    answered = await send(product, alone)
    assert answered.status == 200, answered.text
    [part] = whole(product.gateway.requests[0])[0]["content"]
    assert part == {"type": "image_url", "image_url": {"url": url}}


async def test_a_body_over_twenty_megabytes_is_refused(product: Product) -> None:
    answered = await send(product, picture("data:," + "A" * MAX_BODY_BYTES))
    assert (answered.status, answered.json()["error"]["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "message",
    [
        user("x" * 1_048_576),
        picture("https://a.example/" + "x" * 1_048_576),
        picture("data:image/svg+xml," + "<" * 1_048_576),
        {**user(), "extra": "x" * 1_048_576},
        {**user(), "extra": {"url": "data:," + "x" * 1_048_576}},
        {**user(), "extra": [[]] * 400_000},
    ],
)
async def test_all_but_images_has_a_megabyte(product: Product, message: dict[str, Any]) -> None:
    answered = await send(product, message)
    assert (answered.status, answered.json()["error"]["code"]) == (413, "body_too_large")
    assert "images" in answered.json()["error"]["message"]
    assert product.gateway.requests == []


@pytest.mark.parametrize(
    "body",
    [
        {"model": LLAMA, "messages": [picture()]},
        {"model": LLAMA, "messages": [picture(PHOTO, detail="low", format="jpeg"), picture()]},
        {"model": LLAMA, "messages": [picture("data:,short")]},
        {"model": LLAMA, "messages": [user(json.dumps(picture()))]},
        {"model": LLAMA, "messages": [picture()], "x": {"url": PHOTO}},
        {"model": LLAMA, "messages": [user(f"data:, {PHOTO}")], "metadata": {"url": "data:,a"}},
        {"model": LLAMA, "messages": [picture("data:image/svg+xml;utf8,<svg>" + "é" * 5_000)]},
    ],
)
def test_what_is_sent_is_what_came(body: dict[str, Any]) -> None:
    for indent, ascii_only in ((None, True), (1, False)):
        request = parsed(json.dumps(body, indent=indent, ensure_ascii=ascii_only).encode())
        sent = json.dumps(request.sent_messages(extras=True))
        assert json.loads(b"".join(request.images.pieces(sent))) == body["messages"]
        assert request.images.restored(request.sent_messages(extras=True)) == body["messages"]
        assert request.conversation.query == parsed({**body, "x": 1}).conversation.query


def test_slashes_that_were_escaped_are_slashes() -> None:
    body = json.dumps({"model": LLAMA, "messages": [picture()]}).replace("/", "\\/").encode()
    assert b"\\/" in body
    request = parsed(body)
    assert request.images.placeholders
    assert request.images.restored(request.sent_messages(extras=False)) == [picture()]


def test_a_placeholder_cannot_be_guessed() -> None:
    body = json.dumps({"url": PHOTO}).encode()
    [first], [second] = (set_images_aside(body)[1].placeholders for _ in range(2))
    assert first != second


async def test_a_photo_counts_as_one_whatever_its_size(product: Product) -> None:
    key = (
        await product.call(
            "POST", "/v1/keys", {"name": "a", "scopes": ["route"], "monthly_token_budget": 100_000}
        )
    ).json()["key"]
    for url in ("https://a.example/b.jpg", PHOTO, "data:image/png;base64," + "A" * 3_000_000):
        product.gateway.enqueue(talks())
        body = {"model": LLAMA, "messages": [picture(url)], "edgeneuro": {"fallback": False}}
        answered = await product.call("POST", "/v1/chat/completions", body, key=key)
        assert answered.status == 200, answered.text


async def test_the_cache_goes_by_the_photo(product: Product) -> None:
    states = []
    for url in (PHOTO, PHOTO, PHOTO + "A"):
        answered = await send(product, picture(url), temperature=0)
        states.append(answered.json()["edgeneuro"]["cache"])
    assert states == ["miss", "hit", "miss"]
    request = parsed({"model": LLAMA, "messages": [picture()]})
    [placeholder] = request.images.placeholders
    assert request.images.digest(placeholder) == hashlib.sha256(PHOTO.encode()).hexdigest()


def model_request(model: str = "m", **fields: Any) -> ModelRequest:
    request = parsed({"model": "m", "messages": [picture()]})
    return ModelRequest(
        model=model,
        adapter=None,
        messages=request.sent_messages(extras=False),
        timeout_ms=1_000,
        cache_key=None,
        cache_ttl_seconds=60,
        metadata={},
        images=request.images,
        **fields,
    )


async def test_over_https_the_body_is_sent_as_it_is_made(settings: Settings) -> None:
    fetch = ScriptedFetch(ScriptedResponse(200, [b"{}"]))
    transport = HttpsTransport(fetch, settings, secret=lambda name: "token")
    await transport.send(model_request(), stream=False)
    assert fetch.requests[0].json()["messages"] == [picture()]


async def test_the_binding_gets_the_photo_itself() -> None:
    class Binding:
        async def run(self, model: str, inputs: dict[str, Any], options: Any, /) -> Any:
            self.inputs = inputs

    binding = Binding()
    transport = BindingTransport(binding, gateway_id="")  # type: ignore[arg-type]
    await transport.send(model_request(LLAMA), stream=False)
    assert binding.inputs["messages"][0]["content"][1]["image_url"]["url"] == PHOTO


async def test_an_agents_endpoint_gets_the_photo_in_what_is_signed(product: Product) -> None:
    hr = {"endpoint": "https://hr.example.com/chat", "protocol": "openai"}
    assert (await product.call("PATCH", "/v1/agents/hr", hr)).status == 200
    body = {"choices": [{"message": {"content": "A cat."}, "finish_reason": "stop"}]}
    kind = {"content-type": "application/json"}
    product.fetch.enqueue(ScriptedResponse(200, [json.dumps(body).encode()], kind))
    answered = await chat(product, messages=[picture()])
    assert answered.status == 200, answered.text
    assert product.fetch.requests[0].json()["messages"] == [picture()]
