"""Caches never hide a change of what decides, and can be flushed."""

from typing import Any

import pytest

from tests.unit.chats import chat, talks
from tests.unit.classifiers import create_agents, install, known, load, never_sure, select
from tests.unit.conftest import Product, says

LEAVE = "How many days of leave?"
VENDOR = {
    "id": "v",
    "kind": "openai-compatible",
    "models": ["m"],
    "base_url": "https://a.example/v1",
}


async def layer(product: Product, query: str, **fields: Any) -> str:
    decision = (await product.route(query, **fields)).json()
    return str(decision["layer"])


@pytest.fixture
async def classified(empty_product: Product) -> Product:
    """A product that asked its model twice for a question which a classifier would know."""
    product = empty_product
    await create_agents(product)
    product.gateway.enqueue(*[says("agent_0")] * 10)
    await product.route(known("agent_2"), cache=False)
    await product.route(known("agent_2"))
    return product


async def test_a_classifier_that_is_selected_answers_what_a_model_was_asked_before(
    classified: Product,
) -> None:
    assert await layer(classified, known("agent_2")) == "cache"
    install(classified, "clf_1")
    await select(classified, "clf_1")
    # Nobody waits for it to load; what is cached answers meanwhile.
    assert await layer(classified, known("agent_2")) == "cache"
    assert await layer(classified, known("agent_2")) == "classifier"
    await select(classified, None)
    assert await layer(classified, known("agent_2")) == "cache"


async def test_another_threshold_or_classifier_is_asked_about_what_the_one_before_passed_on(
    classified: Product,
) -> None:
    install(classified, "clf_unsure", never_sure())
    await select(classified, "clf_unsure")
    await load(classified)
    assert await layer(classified, known("agent_2")) == "cache"
    install(classified, "clf_1")
    await select(classified, "clf_1", confidence_threshold=1.0)
    await classified.route("load the other one", cache=False)
    await classified.route("load the other one, again")
    assert await layer(classified, known("agent_2")) == "fallback"
    await select(classified, "clf_1", confidence_threshold=0.5)
    assert await layer(classified, known("agent_2")) == "classifier"


async def test_a_provider_that_moved_is_asked_again(product: Product) -> None:
    assert (await product.call("POST", "/v1/providers", VENDOR)).status == 201
    product.gateway.enqueue(says("hr"), says("hr"))
    for expected in ("llm", "cache"):
        assert await layer(product, LEAVE, model="v/m", fallback=False) == expected
    await product.call("PATCH", "/v1/providers/v", {"base_url": "https://b.example/v1"})
    assert await layer(product, LEAVE, model="v/m", fallback=False) == "llm"
    first, again = (request.cache_key for request in product.gateway.requests)
    assert first != again


async def test_a_flush_reaches_d1_all_isolates_and_ai_gateway(product: Product) -> None:
    other = Product(product.database, product.services.settings, clock=product.clock)
    product.gateway.enqueue(says("hr"), says("hr"), talks())
    await product.route(LEAVE, cache=False)
    assert await layer(product, LEAVE) == "llm"  # the second time it goes to D1 too
    assert (await chat(product, temperature=0)).json()["edgeneuro"]["cache"] == "miss"
    assert await layer(other, LEAVE) == "cache"
    assert (await chat(other, temperature=0)).json()["edgeneuro"]["cache"] == "hit"
    flushed = await product.call("DELETE", "/v1/cache")
    assert flushed.json() == {"object": "cache.flushed", "epoch": 1, "decisions": 1, "chats": 1}
    assert product.rows("SELECT * FROM decision_cache") == []
    assert product.rows("SELECT * FROM chat_cache") == []
    product.clock.seconds += 5.1
    product.gateway.enqueue(says("it_support"), talks("Forty."))
    assert await layer(product, LEAVE) == "llm"
    assert (await chat(product, temperature=0)).json()["edgeneuro"]["cache"] == "miss"
    # The other isolate finds the new answers in D1, and not its old ones in memory.
    assert (await other.route(LEAVE)).json()["agent"]["id"] == "it_support"
    choice = (await chat(other, temperature=0)).json()["choices"][0]
    assert choice["message"]["content"] == "Forty."
    assert other.gateway.requests == []
    first, again = (product.gateway.requests[at] for at in (1, 3))
    assert first.messages == again.messages and first.cache_key != again.cache_key
    [entry] = (await product.call("GET", "/v1/audit?resource=cache")).json()["data"]
    assert (entry["action"], entry["before"], entry["after"]) == (
        "flush",
        {"epoch": 0},
        {"epoch": 1},
    )
    assert "cache_epoch" not in (await product.call("GET", "/v1/config")).json()


async def test_only_an_admin_flushes(product: Product) -> None:
    made = await product.call("POST", "/v1/keys", {"name": "k", "scopes": ["read", "route"]})
    answered = await product.call("DELETE", "/v1/cache", key=made.json()["key"])
    assert answered.status == 403
