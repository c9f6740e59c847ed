"""The second classifier: vectors are made once and kept, and it is trained from the examples of the
first one."""

import json
from typing import Any

import pytest

from edgeneuro.classifier.dense import NO_VECTORS
from edgeneuro.classifier.embedding import quantised, with_embeddings
from edgeneuro.classifier.examples import Labelled
from edgeneuro.classifier.preparation import prepare
from edgeneuro.controlplane.jobs.embedding_training import EmbeddingTrainingKind
from edgeneuro.controlplane.jobs.runner import run_slice
from edgeneuro.domain.conversation import PreviousTurn
from edgeneuro.domain.query import query_hash
from edgeneuro.errors import UpstreamCapacityError, UpstreamRejectedError
from edgeneuro.gateway.interface import EmbeddingAnswer, EmbeddingRequest
from edgeneuro.store.embedding_classifiers import read_embedding_model
from edgeneuro.store.label_vectors import find_vectors, store_vectors
from tests.unit import embeddings
from tests.unit.conftest import Product, says
from tests.unit.invocations import run_scheduled
from tests.unit.trainings import create, import_labels, minute, once, shown

HOUR = "7 * * * *"  # any cron but that of every minute does the maintenance too


@pytest.fixture
async def ready(product: Product) -> Product:
    """With labels and an embedding model."""
    await import_labels(product)
    product.gateway.embedder = embeddings.embed
    answered = await product.call("PATCH", "/v1/config", {"embedding_model": embeddings.MODEL})
    assert answered.status == 200, answered.text
    return product


async def trained(product: Product, minutes: int = 4) -> dict[str, Any]:
    """Of a classifier, with what there is of its second one by then."""
    made: dict[str, Any] = await once(
        product, f"second {minutes}", lambda: _trained(product, minutes)
    )
    return made


async def _trained(product: Product, minutes: int) -> dict[str, Any]:
    created = (await create(product)).json()
    for _ in range(minutes):
        await minute(product)
    assert all(len(each.texts) <= 100 for each in product.gateway.embedding_requests)
    return await shown(product, created["id"])


async def test_it_follows_the_training_of_a_classifier(ready: Product) -> None:
    found = await trained(ready)
    assert found["state"] == "succeeded"
    second = found["embedding"]
    assert (second["state"], second["error"], second["refusal"]) == ("succeeded", None, None)
    assert (second["model_id"], second["width"]) == (embeddings.MODEL, embeddings.WIDTH)
    assert second["metrics"]["accuracy"] > 0.9
    progress = second["progress"]
    assert progress["made"] > 150
    assert progress["missing"] == 0
    assert progress["cost_usd"] > 0
    jobs = (await ready.call("GET", "/v1/jobs?kind=embedding_training")).json()["data"]
    assert [(job["state"], job["resource_id"]) for job in jobs] == [("succeeded", second["id"])]
    config = await ready.services.routing.fresh()
    assert config.embeddings[found["id"]].id == second["id"]
    content = await read_embedding_model(ready.services.db, second["id"])
    assert len(content) == int(second["size"])
    assert ready.rows("SELECT count(*) AS n FROM embedding_parts WHERE kind <> 'model'") == [
        {"n": 0}
    ]


async def test_vectors_are_made_once(ready: Product) -> None:
    first = (await trained(ready))["embedding"]["progress"]
    asked = len(ready.gateway.embedding_requests)
    second = (await _trained(ready, 4))["embedding"]
    assert second["state"] == "succeeded"
    assert first["made"] > 0
    assert second["progress"]["made"] == 0
    assert len(ready.gateway.embedding_requests) == asked


async def test_without_the_setting_there_is_none(ready: Product) -> None:
    await ready.call("PATCH", "/v1/config", {"embedding_model": None})
    assert (await _trained(ready, 2))["embedding"] is None
    assert ready.gateway.embedding_requests == []


async def test_slices_make_the_same_model(ready: Product) -> None:
    whole = (await trained(ready))["embedding"]["version"]
    created = (await create(ready)).json()
    kind = EmbeddingTrainingKind(max_ms=500)
    for _ in range(3):
        await minute(ready)  # trains the first one
        found = await shown(ready, created["id"])
        if found["embedding"] is not None:
            break
    job = ready.rows("SELECT id FROM jobs WHERE kind = 'embedding_training' ORDER BY id")[-1]
    for _ in range(2_000):
        if not await run_slice(ready.services, kind, job["id"]):
            break
    found = await shown(ready, created["id"])
    assert found["embedding"]["state"] == "succeeded", found["embedding"]
    assert found["embedding"]["version"] == whole


async def test_a_model_that_is_busy_is_asked_again_later(ready: Product) -> None:
    def busy(request: EmbeddingRequest) -> EmbeddingAnswer:
        raise UpstreamCapacityError("no capacity")

    ready.gateway.embedder = busy
    found = await _trained(ready, 3)
    assert found["state"] == "succeeded"  # the classifier itself does not wait for it
    assert found["embedding"]["state"] == "running"
    ready.gateway.embedder = embeddings.embed
    ready.clock.seconds += 3_600
    for _ in range(4):
        await minute(ready)
    assert (await shown(ready, found["id"]))["embedding"]["state"] == "succeeded"


@pytest.mark.parametrize("width", [7, 0])
async def test_what_the_model_refuses_or_changes_ends_it(ready: Product, width: int) -> None:
    calls = 0

    def other(request: EmbeddingRequest) -> EmbeddingAnswer:
        nonlocal calls
        calls += 1
        if width == 0:
            raise UpstreamRejectedError("no such model")
        answer = embeddings.embed(request)
        if calls == 1:
            return answer
        return EmbeddingAnswer(vectors=tuple(one[:width] for one in answer.vectors))

    ready.gateway.embedder = other
    second = (await _trained(ready, 3))["embedding"]
    if width:  # an answer that cannot be used may be another one the next time
        assert second["state"] in ("running", "failed")
    else:
        assert second["state"] == "failed"
        assert "no such model" in second["error"]
    assert (await ready.services.routing.fresh()).embeddings == {}


async def test_an_erasure_deletes_the_vector(ready: Product) -> None:
    await trained(ready)
    row = ready.rows("SELECT query_hash, query FROM current_labels WHERE split = 'train'")[0]
    identity = ready.rows("SELECT DISTINCT model FROM label_vectors")[0]["model"]
    hashes = [row["query_hash"]]
    assert await find_vectors(ready.services.db, identity, hashes)
    answered = await ready.call("DELETE", f"/v1/labels/{row['query_hash']}")
    assert answered.status in (200, 202), answered.text
    for _ in range(3):
        await minute(ready)
    assert await find_vectors(ready.services.db, identity, hashes) == {}


async def test_an_erasure_of_a_person_deletes_the_vectors_of_its_texts_alone(
    product: Product,
) -> None:
    own, also_asked, also_labeled = "my own words", "words of two people", "words with a label"
    for query, user in (
        (own, "ada"),
        (also_asked, "ada"),
        (also_asked, "ben"),
        (also_labeled, "a"),
    ):
        product.gateway.enqueue(says("hr", 0.9))
        await product.route(query, user=user, cache=False)
    await product.call("POST", "/v1/labels", [{"query": also_labeled, "agent_id": "hr"}])
    hashes = {query: query_hash(query) for query in (own, also_asked, also_labeled)}
    db = product.services.db
    vectors = dict.fromkeys(hashes.values(), b"\x01\x02")
    await db.run(store_vectors("model", vectors, of_agents=False, now_ms=0))
    for user in ("ada", "a"):
        assert (await product.call("DELETE", f"/v1/logs?user={user}")).status == 200
    left = await find_vectors(db, "model", list(hashes.values()))
    assert set(left) == {hashes[also_asked], hashes[also_labeled]}


async def test_vectors_go_with_labels_and_with_the_setting(ready: Product) -> None:
    await trained(ready)

    def count() -> int:
        return int(ready.rows("SELECT count(*) AS n FROM label_vectors")[0]["n"])

    before = count()
    row = ready.rows("SELECT query_hash FROM current_labels WHERE split = 'train'")[0]
    ready.execute(f"DELETE FROM current_labels WHERE query_hash = '{row['query_hash']}'")
    await run_scheduled(ready.services, HOUR)
    assert count() == before - 1
    await ready.call("PATCH", "/v1/config", {"embedding_model": None})
    await run_scheduled(ready.services, HOUR)
    assert count() == 0


async def test_deleting_the_classifier_deletes_it(ready: Product) -> None:
    found = await trained(ready)
    assert (await ready.call("DELETE", f"/v1/classifiers/{found['id']}")).status == 200
    for table in ("embedding_classifiers", "embedding_parts"):
        assert ready.rows(f"SELECT count(*) AS n FROM {table}") == [{"n": 0}]
    assert ready.rows("SELECT count(*) AS n FROM jobs WHERE kind = 'embedding_training'") == [
        {"n": 0}
    ]


def test_examples_without_a_vector_are_left_out() -> None:
    examples = prepare(
        [
            Labelled("one two three", "a"),
            Labelled("four five six", "b"),
            Labelled("seven eight nine", "b"),
            Labelled("yes", "a", previous=PreviousTurn("a", "hello", "what?")),
        ]
    )
    vectors = {
        examples.query_hash(at): quantised(embeddings.vector(str(at)))
        for at in range(len(examples))
    }
    gone = next(iter(vectors))
    del vectors[gone]
    second = with_embeddings(examples, vectors, "model")
    assert examples.vectors in (NO_VECTORS, examples.vectors)
    assert second.vectors.source == "model"
    assert second.vectors.width == embeddings.WIDTH
    kept = [second.query_hash(at) for at in range(len(second))]
    assert gone not in kept
    assert len(kept) == sum(
        examples.stands_alone(at) and examples.query_hash(at) != gone for at in range(len(examples))
    )
    assert [second.vector(at) for at in range(len(second))] == [vectors[key] for key in kept]
    assert json.loads(second.to_bytes().partition(b"\n")[0])["vectors"][1] == embeddings.WIDTH


def test_a_vector_is_rounded_to_the_norm_of_word_vectors() -> None:
    found = memoryview(quantised([3.0, -4.0, 0.0])).cast("b").tolist()
    assert found == [19, -26, 0]
