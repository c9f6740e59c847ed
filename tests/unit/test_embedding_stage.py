"""The stage of the second classifier: when it is asked, what it decides, and what its failures are
to the decision."""

import hashlib
from functools import cache
from typing import Any

import pytest

from edgeneuro.classifier.embedding import quantised, with_embeddings
from edgeneuro.classifier.model import Model, dumps
from edgeneuro.classifier.preparation import prepare
from edgeneuro.classifier.training import Training
from edgeneuro.domain.query import query_hash
from edgeneuro.errors import InvalidOutputError, UpstreamCapacityError
from edgeneuro.gateway.interface import EmbeddingAnswer, EmbeddingRequest
from edgeneuro.isolate.embedding_gain import MIN_QUERIES, SAMPLE, EmbeddingGain
from edgeneuro.store.usage import add_new_logs
from tests.unit import embeddings
from tests.unit.classifiers import (
    AGENTS,
    UNKNOWN,
    create_agents,
    install,
    known,
    load,
    never_sure,
    select,
)
from tests.unit.conftest import Product, says
from tests.unit.synthetic_labels import QUICK, labels

FIRST, SECOND = "clf_first", "emb_second"


@cache
def second_model() -> Model:
    given = labels(len(AGENTS), 60, out_of_scope=60)
    vectors = {query_hash(one.query): quantised(embeddings.vector(one.query)) for one in given}
    training = Training(with_embeddings(prepare(given), vectors, "identity"), QUICK)
    while not training.finished:
        training.step(10_000)
    return training.model()


async def install_second(product: Product, *, content: bytes | None = None, **fields: Any) -> None:
    """As if it had been trained here."""
    config = await product.services.routing.fresh()
    whole = dumps(second_model())
    values = {
        "identity": config.identity_hash(config.models[embeddings.MODEL]),
        "width": embeddings.WIDTH,
        **fields,
    }
    connection = product.database._connection
    connection.execute(
        "INSERT INTO embedding_classifiers (id, classifier_id, created_at, model_id, identity,"
        " width, size) VALUES (?1, ?2, 0, ?3, ?4, ?5, ?6)",
        (SECOND, FIRST, embeddings.MODEL, values["identity"], values["width"], len(whole)),
    )
    connection.execute(
        "INSERT INTO embedding_parts VALUES (?1, 'model', 0, ?2)",
        (SECOND, whole if content is None else content),
    )
    connection.execute(
        "INSERT INTO jobs (id, kind, resource_id, state, created_at, updated_at, checkpoint)"
        " VALUES ('job_second', 'embedding_training', ?1, 'succeeded', 0, 0, '{}')",
        (SECOND,),
    )
    connection.execute(
        "UPDATE embedding_classifiers SET checksum = ?1",
        (hashlib.sha256(whole[:-32]).hexdigest(),),
    )


@pytest.fixture
async def ready(empty_product: Product) -> Product:
    """A first classifier that is never sure, and the second one, both loaded."""
    product = empty_product
    product.gateway.embedder = embeddings.embed
    await create_agents(product)
    install(product, FIRST, never_sure())
    await install_second(product)
    await select(product, FIRST, embedding_model=embeddings.MODEL)
    product.gateway.enqueue(says("agent_0"), says("agent_0"))
    await load(product)  # the first one
    await product.route("warm up again")  # then the second one
    product.gateway.embedding_requests.clear()
    product.gateway.requests.clear()
    return product


async def route(product: Product, query: str, **fields: Any) -> tuple[dict[str, Any], str]:
    """The answer, and what the stage came to."""
    answered = await product.route(query, explain=True, **fields)
    assert answered.status == 200, answered.text
    body: dict[str, Any] = answered.json()
    stages = body["explanation"]["stages"]
    found = [one for one in stages if one["name"] == "embedding"]
    if not found:
        return body, "absent"
    return body, found[0]["reason"] or found[0]["outcome"]


async def test_it_decides_where_the_first_one_is_not_sure(ready: Product) -> None:
    body, outcome = await route(ready, known("agent_1"))
    assert (body["agent"]["id"], body["layer"], outcome) == ("agent_1", "embedding", "decided")
    assert body["confidence"] > 0.9
    assert body["calibrated"]
    assert ready.gateway.requests == []
    [request] = ready.gateway.embedding_requests
    assert request.texts == (known("agent_1"),)
    assert request.metadata["purpose"] == "embedding"
    assert 0 < request.timeout_ms <= 1_000
    log = (await ready.logs())[0]
    assert (log["layer"], log["model"]) == ("embedding", SECOND)
    [attempt] = log["attempts"]
    assert (attempt["purpose"], attempt["model"]) == ("embedding", embeddings.MODEL)
    assert log["usage"]["prompt_tokens"] > 0
    assert log["cost_usd"] == pytest.approx(log["usage"]["prompt_tokens"] * 0.02 / 1e6)
    await add_new_logs(ready.database)
    sums = ready.rows("SELECT without_model AS n FROM usage_hours WHERE layer = 'embedding'")
    assert sums == [{"n": 1}]
    saved = ready.rows("SELECT decisions AS n FROM decision_hours WHERE stage = 'embedding'")
    assert saved == [{"n": 1}]


async def test_the_vector_of_a_query_is_cached(ready: Product) -> None:
    for _ in range(2):
        body, _ = await route(ready, known("agent_1"))
        assert body["layer"] == "embedding"
    assert len(ready.gateway.embedding_requests) == 1
    [request] = ready.gateway.embedding_requests
    assert request.cache_key is not None
    log = (await ready.logs())[0]
    assert (log["attempts"], log["cost_usd"]) == ([], 0)


async def test_what_it_is_not_sure_of_goes_to_the_model(ready: Product) -> None:
    ready.gateway.enqueue(says("agent_2"))
    body, outcome = await route(ready, UNKNOWN)
    assert (body["agent"]["id"], body["layer"], outcome) == ("agent_2", "llm", "it is not sure")
    log = (await ready.logs())[0]
    assert [each["purpose"] for each in log["attempts"]] == ["route", "embedding"]
    # The model's ranking is cached, and costs no vector the next time.
    body, outcome = await route(ready, UNKNOWN)
    assert (body["layer"], outcome) == ("cache", "absent")
    assert len(ready.gateway.embedding_requests) == 1


async def test_when_it_is_not_asked(ready: Product) -> None:
    ready.gateway.enqueue(*[says("agent_0")] * 4)
    query = known("agent_1")
    _, outcome = await route(ready, query, cache=False)
    assert outcome == "not asked: the request has `cache` false"
    _, outcome = await route(ready, query, model=(await _active(ready)))
    assert outcome == "not asked: the request has `model`"
    context = {"previous_agent": "agent_0", "previous_user": "hello there"}
    _, outcome = await route(ready, query, context=context)
    assert "single messages" in outcome
    await select(ready, None, embedding_model=embeddings.MODEL)
    _, outcome = await route(ready, query)
    assert outcome == "absent"
    assert ready.gateway.embedding_requests == []


async def test_another_embedding_model_needs_another_training(ready: Product) -> None:
    ready.gateway.enqueue(says("agent_0"), says("agent_0"), says("agent_0"))
    await ready.call("PATCH", "/v1/config", {"embedding_model": "@cf/baai/bge-m3"})
    _, outcome = await route(ready, known("agent_1"))
    assert outcome == "not asked: the classifier was trained with another embedding model"
    await ready.call("PATCH", "/v1/config", {"embedding_model": embeddings.MODEL})
    assert (await ready.call("DELETE", f"/v1/models/{embeddings.MODEL}")).status == 200
    _, outcome = await route(ready, known("agent_1", 1))
    assert outcome == "not asked: the embedding model is not available"


async def test_a_new_agent_is_not_known_to_it(ready: Product) -> None:
    ready.gateway.enqueue(says("agent_0"), says("agent_0"))
    body = {"id": "newcomer", "name": "New", "description": "something else"}
    assert (await ready.call("POST", "/v1/agents", body)).status == 201
    await route(ready, known("agent_1", 1))  # the first one learns of it behind this answer
    _, outcome = await route(ready, known("agent_1"))
    assert "newcomer" in outcome


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (UpstreamCapacityError("busy"), "capacity"),
        (InvalidOutputError("no numbers"), "invalid_output"),
        (7, "invalid_output"),
    ],
)
async def test_a_failure_is_none_of_the_decision(
    ready: Product, broken: Exception | int, reason: str
) -> None:
    def embed(request: EmbeddingRequest) -> EmbeddingAnswer:
        if isinstance(broken, Exception):
            raise broken
        return EmbeddingAnswer(vectors=([1.0] * broken,))

    ready.gateway.embedder = embed
    ready.gateway.enqueue(says("agent_2"))
    body, outcome = await route(ready, known("agent_1"), fallback=False)
    assert (body["agent"]["id"], body["layer"]) == ("agent_2", "llm")
    assert outcome.startswith(f"the embedding model failed: {reason}")
    assert "embedding_verdicts_total" in (await ready.call("GET", "/metrics")).text
    # The ranking of the model is cached as usual.
    body, _ = await route(ready, known("agent_1"))
    assert body["layer"] == "cache"


async def test_a_damaged_model_is_counted_and_not_asked(empty_product: Product) -> None:
    product = empty_product
    await create_agents(product)
    install(product, FIRST, never_sure())
    await install_second(product, content=b"damaged")
    await select(product, FIRST, embedding_model=embeddings.MODEL)
    product.gateway.enqueue(*[says("agent_0")] * 3)
    await load(product)
    await product.route("second")
    _, outcome = await route(product, known("agent_1"))
    assert outcome == "not asked: it is not loaded yet"
    assert product.failures.counts["embedding_load"] == 1


async def test_personal_data_stays_here(ready: Product) -> None:
    await ready.call("PATCH", "/v1/config", {"redact_personal_data": True})
    ready.gateway.enqueue(says("agent_0"))
    await route(ready, "write to jo@example.com please")
    [request] = ready.gateway.embedding_requests
    assert request.texts == ("write to [email] please",)
    assert not request.collect_payload


async def test_a_key_that_may_not_use_the_model(ready: Product) -> None:
    models = [await _active(ready)]
    made = await ready.call(
        "POST", "/v1/keys", {"name": "narrow", "scopes": ["route", "read"], "models": models}
    )
    assert made.status == 201, made.text
    ready.gateway.enqueue(says("agent_0"))
    answered = await ready.call(
        "POST",
        "/v1/route",
        {"query": known("agent_1"), "explain": True},
        key=made.json()["key"],
    )
    stages = answered.json()["explanation"]["stages"]
    [stage] = [one for one in stages if one["name"] == "embedding"]
    assert stage["reason"] == "not asked: the key may not use the embedding model"


async def test_it_is_off_where_it_costs_more_than_it_saves(ready: Product) -> None:
    gain = ready.services.embedding_gain
    gain.about(SECOND)
    for _ in range(MIN_QUERIES):
        gain.note_stage(decided=False, ms=100.0, usd=1e-7)
    gain.note_model(ms=50.0, usd=1e-5)
    ready.gateway.enqueue(*[says("agent_0")] * SAMPLE)
    outcomes = [(await route(ready, known("agent_1", number)))[1] for number in range(SAMPLE)]
    assert outcomes[0] == "not asked: here it costs more than it saves"
    assert outcomes.count("decided") == 1  # a sample goes on measuring it
    found = (await ready.call("GET", f"/v1/classifiers/{FIRST}")).json()["embedding"]["gain"]
    assert (found["on"], found["queries"]) == (False, MIN_QUERIES + 1)
    assert found["saved_ms"] < 0
    assert (await ready.call("GET", "/v1/learning")).json()["embedding"] == found


async def test_its_decisions_are_audited(ready: Product) -> None:
    await select(ready, FIRST, embedding_model=embeddings.MODEL, audit_sample_share=1.0)
    ready.gateway.enqueue(says("agent_1"), says("agent_2"))
    for number in range(2):
        body, _ = await route(ready, known("agent_1", number))
        assert body["layer"] == "embedding"
    rows = ready.rows(
        "SELECT layer, agent_id FROM audit_samples WHERE layer = 'llm' ORDER BY log_id"
    )
    assert [(row["layer"], row["agent_id"]) for row in rows] == [
        ("llm", "agent_1"),
        ("llm", "agent_2"),
    ]


def test_gain_counts_time_and_money() -> None:
    gain = EmbeddingGain()
    gain.about("one")
    assert gain.gain().on
    for number in range(100):
        gain.note_stage(decided=number % 2 == 0, ms=50, usd=1e-7)
        gain.note_model(ms=400, usd=1e-5)
    found = gain.gain()
    assert (found.on, found.hit_share, found.saved_ms) == (True, 0.5, 150)
    assert found.saved_usd == pytest.approx(0.5e-5 - 1e-7)
    for _ in range(200):
        gain.note_stage(decided=False, ms=50, usd=None)
    assert not gain.gain().on
    assert gain.gain().saved_usd is None
    assert [gain.asks() for _ in range(SAMPLE)] == [False] * (SAMPLE - 1) + [True]
    gain.about("another")
    assert gain.asks()


async def _active(product: Product) -> str:
    return (await product.services.routing.fresh()).active.id
