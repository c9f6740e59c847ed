"""Embedding models: the real MiniLM against PyTorch's numbers, on every way to it, and refusals."""

from typing import Any

import pytest

from local.embeddings import EMBEDDING_MODELS
from local.engines.minilm import load_minilm
from tests.local.emulator import GATEWAY, HELLO, LLAMA, RUN, Emulator, Json

SMALL = "@cf/baai/bge-small-en-v1.5"
BASE = "@cf/baai/bge-base-en-v1.5"
ACCOUNT = "/client/v4/accounts/acc/ai"
PASSWORD = "how do i reset my password"
ACCENTS = "Ünïcode café — naïve 你好 👍 ok?!"
# Made by transformers 5.24 with PyTorch 2.13 out of the same files: mean of the last layer, length
# 1; the first twelve numbers and the last four.
REFERENCE = {
    PASSWORD: "0.00774 -0.05228 -0.06238 -0.03314 -0.04241 0.07845 0.02485 0.01496 0.06675"
    " 0.01855 -0.03836 0.02845 0.03084 0.08227 -0.00125 -0.08423",
    ACCENTS: "-0.01833 -0.02113 0.05117 0.01334 -0.00373 -0.02992 0.04251 -0.07512 -0.03592"
    " -0.05068 0.11201 -0.07165 0.0625 0.04659 0.00456 -0.00663",
}


def likeness(one: list[float], other: list[float]) -> float:
    return sum(x * y for x, y in zip(one, other, strict=True))


async def vectors(emulator: Emulator, texts: list[str], model: str = SMALL) -> list[list[float]]:
    answer = await emulator.run({"text": texts}, model)
    assert answer.status_code == 200, answer.text
    found: list[list[float]] = answer.json()["result"]["data"]
    return found


async def test_the_numbers_are_those_of_pytorch(emulator: Emulator) -> None:
    # A long text beside them: padding must change nothing.
    found = await vectors(emulator, [PASSWORD, ACCENTS, "a long text " * 30])
    for vector, numbers in zip(found, REFERENCE.values(), strict=False):
        expected = [float(number) for number in numbers.split()]
        assert [*vector[:12], *vector[-4:]] == pytest.approx(expected, abs=2e-5)


def test_the_tokens_are_those_of_bert() -> None:
    encode = load_minilm()._tokenizer.encode
    assert encode(PASSWORD) == [101, 2129, 2079, 1045, 25141, 2026, 20786, 102]
    assert encode(ACCENTS) == [101, 27260, 7668, 1517, 15743, 100, 100, 100, 7929, 1029, 999, 102]
    assert encode("x" * 101) == [101, 100, 102]
    assert len(encode("word " * 1_000)) == 256


async def test_alike_sentences_are_near(emulator: Emulator) -> None:
    asked, alike, other = await vectors(
        emulator, [PASSWORD, "I forgot my login credentials", "what is the weather in Oslo"]
    )
    assert likeness(asked, alike) > 0.4 > likeness(asked, other)


@pytest.mark.parametrize("model", EMBEDDING_MODELS.values(), ids=lambda model: model.id)
async def test_every_model_has_its_width(emulator: Emulator, model: Any) -> None:
    answer = await emulator.run({"text": PASSWORD}, model.id)
    result = answer.json()["result"]
    assert result["shape"] == [1, model.width]
    (vector,) = result["data"]
    assert len(vector) == model.width
    assert likeness(vector, vector) == pytest.approx(1, abs=1e-4)
    assert answer.headers["x-local-engine"] == "minilm"
    assert "emulates" in result["metadata"]["notice"]


async def test_a_wider_model_finds_the_same_likeness(emulator: Emulator) -> None:
    texts = [PASSWORD, "I forgot my login credentials"]
    narrow, wide = await vectors(emulator, texts), await vectors(emulator, texts, BASE)
    assert likeness(*wide) == pytest.approx(likeness(*narrow), abs=1e-4)


async def test_every_way_to_workers_ai_answers_the_same(emulator: Emulator) -> None:
    (expected,) = await vectors(emulator, [PASSWORD])
    through = await emulator.ask({"text": [PASSWORD]}, SMALL, cache_ttl=60)
    assert through.json()["result"]["data"] == [expected]
    again = await emulator.ask({"text": [PASSWORD]}, SMALL, cache_ttl=60)
    assert again.headers["cf-aig-cache-status"] == "HIT"
    body = {"model": SMALL, "input": PASSWORD}
    for path in (f"{ACCOUNT}/v1/embeddings", f"{GATEWAY}/workers-ai/v1/embeddings"):
        answer = await emulator.client.post(path, json=body)
        assert answer.json()["data"] == [{"object": "embedding", "index": 0, "embedding": expected}]
        assert answer.json()["usage"] == {"prompt_tokens": 8, "total_tokens": 8}


@pytest.mark.parametrize(
    "path",
    [
        f"{GATEWAY}/openai/embeddings",
        "/_outbound/api.openai.com/v1/embeddings",
        "/_outbound/api.fireworks.ai/inference/v1/embeddings",
        "/_outbound/models.example.com/v1/embeddings",
    ],
)
async def test_vendors_speak_openais_format(emulator: Emulator, path: str) -> None:
    body = {"model": "text-embedding-any", "input": [PASSWORD, ACCENTS]}
    refused = await emulator.client.post(path, json=body)
    assert refused.status_code == 401
    answer = await emulator.client.post(path, json=body, headers={"authorization": "Bearer key"})
    assert answer.status_code == 200, answer.text
    assert [each["index"] for each in answer.json()["data"]] == [0, 1]
    assert answer.json()["usage"]["prompt_tokens"] == 20


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"text": []},
        {"text": [""]},
        {"text": [1]},
        {"text": ["a"] * 101},
        {"text": "a", "pooling": "max"},
        {"text": "a", "messages": []},
    ],
)
async def test_bad_inputs_are_refused(emulator: Emulator, inputs: Json) -> None:
    answer = await emulator.run(inputs, SMALL)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, 5006)


async def test_an_embedding_model_writes_no_text(emulator: Emulator) -> None:
    body = {"model": SMALL, **HELLO}
    answer = await emulator.client.post(f"{ACCOUNT}/v1/chat/completions", json=body)
    assert "writes no text" in answer.json()["errors"][0]["message"]
    answer = await emulator.client.post(
        f"{ACCOUNT}/v1/embeddings", json={"model": LLAMA, "input": "a"}
    )
    assert answer.json()["errors"][0]["code"] == 5007


async def test_the_catalogue_lists_them_as_a_task_of_their_own(emulator: Emulator) -> None:
    async def names(**query: str) -> set[str]:
        query = {"per_page": "100", **query}
        answer = await emulator.client.get(f"{ACCOUNT}/models/search", params=query)
        return {each["name"] for each in answer.json()["result"]}

    assert await names(task="Text Embeddings") == set(EMBEDDING_MODELS)
    assert SMALL not in await names(task="Text Generation")
    assert {SMALL, LLAMA} <= await names()
    schema = await emulator.client.get(f"{ACCOUNT}/models/schema", params={"model": SMALL})
    assert set(schema.json()["result"]["input"]["properties"]) == {"text"}


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("wrong_width", [2, 192]), ("missing_vector", [1, 384]), ("zero_vector", [2, 384])],
)
async def test_faults_spoil_the_vectors(emulator: Emulator, kind: str, shape: list[int]) -> None:
    await emulator.fault(SMALL, kind=kind)
    answer = await emulator.run({"text": ["a", "b"]}, SMALL)
    assert answer.json()["result"]["shape"] == shape
    assert RUN in (await emulator.calls())[0]["path"]


async def test_a_fault_makes_numbers_that_are_none(emulator: Emulator) -> None:
    await emulator.fault(SMALL, kind="nan_vector")
    assert "NaN" in (await emulator.run({"text": "a"}, SMALL)).text
    await emulator.fault(SMALL, kind="wrong_json")
    assert (await emulator.run({"text": "a"}, SMALL)).json()["result"] == {"label": "blue"}
    await emulator.fault(SMALL, kind="error", code=5028)
    assert (await emulator.run({"text": "a"}, SMALL)).status_code == 410
