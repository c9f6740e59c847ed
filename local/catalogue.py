"""The text generation models that the emulator knows, and what each can do. Workers AI lists its
decision models among them, without a property that says so.

`shape` is the answer's form on the native endpoint. `json_mode` follows what the live service was
seen to accept, which is narrower than the schemas in its catalogue. The classic models take texts
alone, but for those with "vision" in their names.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Shape = Literal["classic", "openai"]


@dataclass(frozen=True)
class Model:
    id: str
    shape: Shape
    json_mode: bool
    lora: bool
    context_window: int
    price: tuple[float, float] | None = None  # USD per million tokens, in and out
    decision: bool = False  # it answers questions and writes no text
    images: bool = False  # of a decision model: whether it takes `images`

    @property
    def content_parts(self) -> bool:
        """Whether a message's content may be a list of parts."""
        return self.shape == "openai" or "vision" in self.id


def _classic(
    model_id: str,
    context_window: int,
    *price: float,
    json_mode: bool = False,
    lora: bool = False,
) -> Model:
    return Model(model_id, "classic", json_mode, lora, context_window, _pair(price))


def _newer(model_id: str, context_window: int, *price: float) -> Model:
    return Model(model_id, "openai", True, False, context_window, _pair(price))


def _decision(model_id: str, context_window: int, price: float) -> Model:
    """No price is listed for the output of decision models, which is free."""
    return Model(model_id, "openai", False, False, context_window, (price, 0.0), True, True)


def _pair(price: tuple[float, ...]) -> tuple[float, float] | None:
    return (price[0], price[1]) if price else None


MODELS: dict[str, Model] = {
    model.id: model
    for model in (
        _classic("@cf/meta/llama-3.2-1b-instruct", 60_000, 0.027, 0.201, json_mode=True),
        _classic("@cf/meta/llama-3.2-3b-instruct", 80_000, 0.051, 0.335, json_mode=True),
        _classic("@cf/meta/llama-3.1-8b-instruct-fp8-fast", 128_000, 0.045, 0.384),
        _classic("@cf/meta/llama-3.1-8b-instruct-fp8", 32_000, 0.152, 0.287),
        _classic("@cf/meta/llama-3.3-70b-instruct-fp8-fast", 24_000, 0.293, 2.253, json_mode=True),
        _classic("@cf/ibm-granite/granite-4.0-h-micro", 131_000, 0.017, 0.112, json_mode=True),
        _classic("@cf/mistral/mistral-7b-instruct-v0.2-lora", 15_000, lora=True),
        _classic("@cf/google/gemma-2b-it-lora", 8_192, lora=True),
        _classic("@cf/google/gemma-7b-it-lora", 3_500, lora=True),
        _classic("@cf/meta-llama/llama-2-7b-chat-hf-lora", 8_192, lora=True),
        _classic("@cf/meta/llama-3.2-11b-vision-instruct", 128_000, 0.049, 0.676, lora=True),
        _classic("@cf/qwen/qwen2.5-coder-32b-instruct", 32_768, 0.66, 1.00, lora=True),
        _newer("@cf/zai-org/glm-4.7-flash", 131_072, 0.0605, 0.40),
        _newer("@cf/google/gemma-4-26b-a4b-it", 256_000, 0.10, 0.30),
        _newer("@cf/openai/gpt-oss-20b", 128_000, 0.20, 0.30),
        _decision("@cf/cloudflare/clef-flash", 24_000, 0.038),
        _decision("@cf/cloudflare/clef-omni", 64_000, 0.150),
        _decision("@cf/cloudflare/clef", 64_000, 0.240),
    )
}


def catalogue_entries(models: Iterable[Model]) -> list[dict[str, Any]]:
    """As Cloudflare lists its models: the id is an internal one, the model's own is `name`."""
    return [
        {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, model.id)),
            "source": 1,
            "name": model.id,
            "description": "",
            "task": {"name": "Text Generation"},
            "tags": [],
            "properties": _properties(model),
        }
        for model in models
    ]


def _properties(model: Model) -> list[dict[str, Any]]:
    properties: list[dict[str, Any]] = [
        {"property_id": "context_window", "value": str(model.context_window)}
    ]
    if model.price is not None:
        units = ("per M input tokens", "per M output tokens")
        prices = [
            {"unit": unit, "price": price, "currency": "USD"}
            for unit, price in zip(units, model.price, strict=True)
            if not (model.decision and unit == units[1])
        ]
        properties.append({"property_id": "price", "value": prices})
    if model.lora:
        properties.append({"property_id": "lora", "value": "true"})
    return properties
