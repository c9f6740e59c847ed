"""The Workers AI models that EdgeNeuro knows without asking, and which of them this installation
has.

Prices in USD per million tokens and context windows in tokens are those of Cloudflare's pricing
page and model pages as of 2026-11; "supports_lora" and "json_mode" follow the catalogue's `lora`
property and the models' `response_format` input."""

from dataclasses import dataclass

from edgeneuro.domain.model import Model, Pricing
from edgeneuro.settings import Settings

CATALOGUE_CREATED = 1_795_046_400  # 2026-11-19, the day of the table below


@dataclass(frozen=True)
class BaseModelFacts:
    id: str
    input_price: float | None = None
    output_price: float | None = None
    context_window: int | None = None
    supports_lora: bool = False
    json_mode: bool = False


_FACTS = {
    facts.id: facts
    for facts in (
        BaseModelFacts("@cf/meta/llama-3.2-1b-instruct", 0.027, 0.201, 60_000, json_mode=True),
        BaseModelFacts("@cf/meta/llama-3.2-3b-instruct", 0.051, 0.335, 80_000, json_mode=True),
        BaseModelFacts("@cf/meta/llama-3.1-8b-instruct-fp8-fast", 0.045, 0.384, json_mode=True),
        BaseModelFacts("@cf/meta/llama-3.1-8b-instruct-fp8", 0.152, 0.287, 32_000, json_mode=True),
        BaseModelFacts(
            "@cf/meta/llama-3.3-70b-instruct-fp8-fast", 0.293, 2.253, 24_000, json_mode=True
        ),
        BaseModelFacts(
            "@cf/ibm-granite/granite-4.0-h-micro", 0.017, 0.112, 131_000, json_mode=True
        ),
        BaseModelFacts("@cf/zai-org/glm-4.7-flash", 0.0605, 0.40, 131_072, json_mode=True),
        BaseModelFacts("@cf/google/gemma-4-26b-a4b-it", 0.10, 0.30, 256_000, json_mode=True),
        BaseModelFacts("@cf/openai/gpt-oss-20b", 0.20, 0.30, 128_000, json_mode=True),
        BaseModelFacts("@cf/google/gemma-2b-it-lora", supports_lora=True),
        BaseModelFacts("@cf/google/gemma-7b-it-lora", context_window=3_500, supports_lora=True),
        BaseModelFacts(
            "@cf/mistral/mistral-7b-instruct-v0.2-lora", context_window=15_000, supports_lora=True
        ),
        BaseModelFacts(
            "@cf/meta-llama/llama-2-7b-chat-hf-lora", context_window=8_192, supports_lora=True
        ),
        BaseModelFacts(
            "@cf/qwen/qwen2.5-coder-32b-instruct",
            0.66,
            1.00,
            32_768,
            supports_lora=True,
            json_mode=True,
        ),
    )
}


def facts_of(base_model: str) -> BaseModelFacts:
    """What is known of a base model; for one that the table lacks, the careful assumptions."""
    return _FACTS.get(base_model) or BaseModelFacts(base_model)


def known_models(settings: Settings) -> dict[str, Model]:
    """Every model that can be listed and selected here: the table, the models that the vars name,
    and under INTENT_LORA's name the pair of FINE_TUNED_MODEL and INTENT_LORA."""
    bases = dict.fromkeys((*_FACTS, settings.routing_model, *settings.fallback_models))
    models = {base: _base_model(facts_of(base)) for base in bases}
    if settings.fine_tuned_model and settings.intent_lora:
        models[settings.intent_lora] = _lora_model(settings.intent_lora, settings.fine_tuned_model)
    return models


def _base_model(facts: BaseModelFacts) -> Model:
    return Model(
        id=facts.id,
        created=CATALOGUE_CREATED,
        owned_by=facts.id.split("/")[1] if facts.id.count("/") >= 2 else "workers-ai",
        type="base",
        base_model=facts.id,
        adapter=None,
        status="available",
        supports_lora=facts.supports_lora,
        context_window=facts.context_window,
        pricing=_pricing(facts),
    )


def _lora_model(adapter: str, base_model: str) -> Model:
    facts = facts_of(base_model)
    return Model(
        id=adapter,
        created=CATALOGUE_CREATED,
        owned_by="you",
        type="lora",
        base_model=base_model,
        adapter=adapter,
        status="available" if facts.supports_lora else "not_ready",
        supports_lora=facts.supports_lora,
        context_window=facts.context_window,
        pricing=_pricing(facts),
    )


def _pricing(facts: BaseModelFacts) -> Pricing | None:
    if facts.input_price is None or facts.output_price is None:
        return None
    return Pricing(input_per_million=facts.input_price, output_per_million=facts.output_price)
