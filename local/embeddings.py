"""Embedding models: texts in, one vector for each out, natively and in OpenAI's format.

All of them are all-MiniLM-L6-v2 (engines/minilm), a real model of 384 numbers. A model of another
width gets these numbers repeated until its width is full: likeness stays about what it was, and
`metadata` says that it is emulated. Contract: the `text` input and the `shape` and `data` output of
developers.cloudflare.com/workers-ai/models/bge-base-en-v1.5, and OpenAI's POST /v1/embeddings.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from local.errors import AiError, bad_input
from local.faults import Fault

ENGINE = "minilm"
MAX_TEXTS = 100
_VENDOR_WIDTH = 384
_NOTICE = "all-MiniLM-L6-v2 emulates this model"
_FIELDS = frozenset({"text", "pooling", "truncate_inputs"})
_DECIMALS = 7


@dataclass(frozen=True)
class EmbeddingModel:
    """`price` is USD per million input tokens; None: Cloudflare states none."""

    id: str
    width: int
    max_tokens: int
    price: float | None = None


@dataclass(frozen=True)
class Embedded:
    vectors: list[list[float]]
    tokens: int


EMBEDDING_MODELS: dict[str, EmbeddingModel] = {
    model.id: model
    for model in (
        EmbeddingModel("@cf/baai/bge-small-en-v1.5", 384, 512, 0.020),
        EmbeddingModel("@cf/baai/bge-base-en-v1.5", 768, 512, 0.067),
        EmbeddingModel("@cf/baai/bge-large-en-v1.5", 1024, 512, 0.204),
        EmbeddingModel("@cf/baai/bge-m3", 1024, 60_000, 0.012),
        EmbeddingModel("@cf/google/embeddinggemma-300m", 768, 2_048),
        EmbeddingModel("@cf/qwen/qwen3-embedding-0.6b", 1024, 8_192, 0.012),
    )
}


async def embed(texts: list[str], width: int, fault: Fault | None) -> Embedded:
    """Raises AiError if the model is not installed."""
    from local.engines.minilm import ModelMissing, load_minilm  # numpy, only once it is needed

    try:
        rows, tokens = await asyncio.to_thread(lambda: load_minilm().embed(texts))
    except ModelMissing as error:
        raise AiError(3043, str(error)) from error
    vectors = [_widened([round(float(x), _DECIMALS) for x in row], width) for row in rows]
    return Embedded(_spoilt(vectors, fault), tokens)


async def native_embeddings(
    model: EmbeddingModel, inputs: Any, fault: Fault | None
) -> dict[str, Any]:
    if not isinstance(inputs, dict):
        raise bad_input("Type mismatch of '/', 'object' expected")
    unknown = sorted(set(inputs) - _FIELDS)
    if unknown:
        raise bad_input(f"unknown field '{unknown[0]}'")
    if inputs.get("pooling", "mean") not in ("mean", "cls"):
        raise bad_input("'/pooling' must be 'mean' or 'cls'")
    found = await embed(_texts(inputs.get("text"), "text"), model.width, fault)
    if fault is not None and fault.kind == "wrong_json":
        return {"label": "blue"}
    width = len(found.vectors[0]) if found.vectors else 0
    return {
        "shape": [len(found.vectors), width],
        "data": found.vectors,
        "pooling": inputs.get("pooling", "mean"),
        "metadata": {"engine": ENGINE, "notice": _NOTICE},
    }


async def openai_embeddings(
    name: str, body: Any, width: int | None, fault: Fault | None
) -> dict[str, Any]:
    """`width` None: a vendor's model, of which any name will do."""
    if body.get("encoding_format", "float") != "float":
        raise bad_input("the emulator knows 'encoding_format' \"float\" only")
    texts = _texts(body.get("input"), "input")
    found = await embed(texts, width or _VENDOR_WIDTH, fault)
    if fault is not None and fault.kind == "wrong_json":
        return {"label": "blue"}
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index, vector in enumerate(found.vectors)
    ]
    return {
        "object": "list",
        "data": data,
        "model": name,
        "usage": {"prompt_tokens": found.tokens, "total_tokens": found.tokens},
        "metadata": {"engine": ENGINE, "notice": _NOTICE},
    }


def embedding_entries(models: Iterable[EmbeddingModel]) -> list[dict[str, Any]]:
    """As Cloudflare lists them."""
    return [
        {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, model.id)),
            "source": 1,
            "name": model.id,
            "description": "",
            "task": {"name": "Text Embeddings"},
            "tags": [],
            "properties": _properties(model),
        }
        for model in models
    ]


def embedding_schema() -> dict[str, Any]:
    text = {"type": "string", "minLength": 1}
    texts = {"type": "array", "items": text, "maxItems": MAX_TEXTS}
    shown = {"shape": {"type": "array"}, "data": {"type": "array"}}
    return {
        "input": {
            "type": "object",
            "properties": {"text": {"oneOf": [text, texts]}},
            "required": ["text"],
        },
        "output": {"type": "object", "properties": shown},
    }


def _properties(model: EmbeddingModel) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"property_id": "context_window", "value": str(model.max_tokens)},
        {"property_id": "max_input_tokens", "value": str(model.max_tokens)},
        {"property_id": "output_dimensions", "value": str(model.width)},
    ]
    if model.price is not None:
        price = [{"unit": "per M input tokens", "price": model.price, "currency": "USD"}]
        found.append({"property_id": "price", "value": price})
    return found


def _texts(given: Any, name: str) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts:
        raise bad_input(f"'/{name}' must be a text or a list of texts")
    if len(texts) > MAX_TEXTS:
        raise bad_input(f"'/{name}' has {len(texts)} texts, and at most {MAX_TEXTS} are allowed")
    if not all(isinstance(text, str) and text for text in texts):
        raise bad_input(f"'/{name}' must hold texts of at least one character")
    return texts


def _widened(vector: list[float], width: int) -> list[float]:
    repeated = (vector * (width // len(vector) + 1))[:width]
    length = sum(value * value for value in repeated) ** 0.5 or 1.0
    return [round(value / length, _DECIMALS) for value in repeated]


def _spoilt(vectors: list[list[float]], fault: Fault | None) -> list[list[float]]:
    match None if fault is None else fault.kind:
        case "wrong_width":
            return [vector[: len(vector) // 2] for vector in vectors]
        case "nan_vector":
            return [[float("nan"), *vector[1:]] for vector in vectors]
        case "zero_vector":
            return [[0.0] * len(vector) for vector in vectors]
        case "missing_vector":
            return vectors[:-1]
    return vectors
