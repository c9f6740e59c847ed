"""The Workers AI models that EdgeNeuro knows without asking, and which of them this installation
has.

Prices in USD per million tokens and context windows in tokens are those of Cloudflare's pricing
page and model pages as of 2026-11; "supports_lora" and "json_mode" follow the catalogue's `lora`
property and the models' `response_format` input, but for the fp8 ones, which were seen to refuse
it (5025)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edgeneuro.domain.model import OWN_PROVIDER, Model, ModelType, Pricing
from edgeneuro.domain.provider import Kind, Provider
from edgeneuro.settings import Settings

CATALOGUE_CREATED = 1_795_046_400  # 2026-11-19, the day of the table below


@dataclass(frozen=True)
class BaseModelFacts:
    """`decision`: it is a decision model; it answers questions and writes no text. `embedding`: it
    turns texts into vectors."""

    id: str
    input_price: float | None = None
    output_price: float | None = None
    context_window: int | None = None
    supports_lora: bool = False
    json_mode: bool = False
    planned_deprecation_date: str | None = None
    decision: bool = False
    embedding: bool = False


_FACTS = {
    facts.id: facts
    for facts in (
        BaseModelFacts("@cf/meta/llama-3.2-1b-instruct", 0.027, 0.201, 60_000, json_mode=True),
        BaseModelFacts("@cf/meta/llama-3.2-3b-instruct", 0.051, 0.335, 80_000, json_mode=True),
        BaseModelFacts("@cf/meta/llama-3.1-8b-instruct-fp8-fast", 0.045, 0.384),
        BaseModelFacts("@cf/meta/llama-3.1-8b-instruct-fp8", 0.152, 0.287, 32_000),
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
        # The output is free.
        BaseModelFacts("@cf/cloudflare/clef-flash", 0.038, 0, 24_000, decision=True),
        BaseModelFacts("@cf/cloudflare/clef-omni", 0.150, 0, 64_000, decision=True),
        BaseModelFacts("@cf/cloudflare/clef", 0.240, 0, 64_000, decision=True),
        # No price is stated for embeddinggemma.
        BaseModelFacts("@cf/baai/bge-small-en-v1.5", 0.020, 0, 512, embedding=True),
        BaseModelFacts("@cf/baai/bge-base-en-v1.5", 0.067, 0, 512, embedding=True),
        BaseModelFacts("@cf/baai/bge-large-en-v1.5", 0.204, 0, 512, embedding=True),
        BaseModelFacts("@cf/baai/bge-m3", 0.012, 0, 60_000, embedding=True),
        BaseModelFacts("@cf/google/embeddinggemma-300m", embedding=True),
        BaseModelFacts("@cf/qwen/qwen3-embedding-0.6b", 0.012, 0, 8_192, embedding=True),
    )
}


# Decision and embedding models that a vendor of this kind is known to have.
_VENDOR_FACTS: dict[Kind, dict[str, BaseModelFacts]] = {
    "openai": {"gpt-6-luna": BaseModelFacts("gpt-6-luna", 0.10, 0, 1_000_000, decision=True)}
}
# In the name of a vendor's embedding model: text-embedding-3-small, nomic-embed-text, …
_EMBEDDING_NAME = "embed"


def facts_of(base_model: str) -> BaseModelFacts:
    """What is known of a base model; for one that the table lacks, the careful assumptions."""
    return _FACTS.get(base_model) or BaseModelFacts(base_model)


def known_models(
    settings: Settings,
    rows: Sequence[Model] = (),
    discovered: Sequence[BaseModelFacts] = (),
    providers: Sequence[Provider] = (),
) -> dict[str, Model]:
    """Every model of this installation by id. Each of these goes over the ones before it: the
    table; `discovered`, what Workers AI's catalogue said; the models that the vars name, and under
    INTENT_LORA's name the pair of FINE_TUNED_MODEL and INTENT_LORA; those of the enabled providers;
    `rows`, what the control plane has registered or changed; of a vendor's models only while the
    provider lists them."""
    facts = _FACTS | {seen.id: _merged(facts_of(seen.id), seen) for seen in discovered}
    named = (settings.routing_model, *settings.fallback_models)
    bases = {base: facts.get(base) or facts_of(base) for base in (*facts, *named)}
    models = {base: base_model(each) for base, each in bases.items()}
    if settings.fine_tuned_model and settings.intent_lora:
        base = models.get(settings.fine_tuned_model) or base_model(
            facts_of(settings.fine_tuned_model)
        )
        models[settings.intent_lora] = lora_model(settings.intent_lora, base)
    for provider in providers:
        for name in provider.models:
            models[provider_model_id(provider, name)] = provider_model(provider, name)
    for row in rows:
        former = models.get(row.id)
        if former is not None:
            models[row.id] = _changed(former, row)
        elif row.provider == OWN_PROVIDER:
            models[row.id] = row
    return models


_NO_ROUTER = ("classifier", "embedding")


def _merged(known: BaseModelFacts, seen: BaseModelFacts) -> BaseModelFacts:
    """The catalog's values, and known ones where it has none: it does not list JSON mode, and of a
    decision or embedding model not the price of the output, which is free."""
    decision = seen.decision or known.decision
    embedding = seen.embedding or known.embedding
    if (decision or embedding) and seen.input_price is not None and seen.output_price is None:
        seen = replace(seen, output_price=0)
    priced = seen if seen.input_price is not None and seen.output_price is not None else known
    return replace(
        seen,
        input_price=priced.input_price,
        output_price=priced.output_price,
        context_window=seen.context_window or known.context_window,
        json_mode=known.json_mode,
        decision=decision,
        embedding=embedding,
    )


def find_model(models: Mapping[str, Model], name: str) -> Model | None:
    """The model of that id or alias."""
    if name in models:
        return models[name]
    return next((model for model in models.values() if name in model.aliases), None)


def find_routing_model(models: Mapping[str, Model], name: str) -> Model | None:
    """The model of that id or alias, if it can be called to route."""
    model = find_model(models, name)
    can_route = model is not None and model.status == "available" and model.type not in _NO_ROUTER
    return model if can_route else None


def provider_model_id(provider: Provider, name: str) -> str:
    return f"{provider.id}/{name}"


def provider_model(provider: Provider, name: str) -> Model:
    facts = _facts_at(provider, name)
    return Model(
        id=provider_model_id(provider, name),
        created=CATALOGUE_CREATED,
        owned_by=provider.id,
        type=_type_of(facts),
        base_model=name,
        adapter=None,
        provider=provider.id,
        status="available",
        supports_lora=False,
        json_mode=facts.json_mode,
        context_window=facts.context_window,
        pricing=provider.prices.get(name) or _pricing(facts),
    )


def _facts_at(provider: Provider, name: str) -> BaseModelFacts:
    """Of a vendor's model. JSON mode is tried where the vendor is known to have it."""
    named = provider.decision_models
    known = _VENDOR_FACTS.get(provider.kind, {}).get(name)
    if known is not None and (named is None or name in named):
        return known
    facts = facts_of(name)
    if facts.embedding or (_EMBEDDING_NAME in name.lower() and name not in (named or ())):
        return replace(facts, embedding=True, json_mode=False)
    if facts.decision or provider.kind == "systemone" or name in (named or ()):
        return replace(facts, decision=True, json_mode=False)
    json_mode = facts.json_mode or provider.kind in ("openai", "groq", "openai-compatible")
    return replace(facts, json_mode=json_mode)


def _changed(former: Model, row: Model) -> Model:
    kept = {
        "provider": former.provider,
        # What a vendor's model is, the provider says.
        "type": row.type if former.provider == OWN_PROVIDER else former.type,
        # An adapter that a var names may have been uploaded again since.
        "created": max(former.created, row.created),
        "owned_by": former.owned_by,
        "planned_deprecation_date": former.planned_deprecation_date,
        # A row without a price is older than the price, or says nothing of it.
        "pricing": row.pricing or former.pricing,
    }
    return row.model_copy(update=kept)


def base_model(facts: BaseModelFacts) -> Model:
    return Model(
        id=facts.id,
        created=CATALOGUE_CREATED,
        owned_by=facts.id.split("/")[1] if facts.id.count("/") >= 2 else "workers-ai",
        type=_type_of(facts),
        base_model=facts.id,
        adapter=None,
        status="available",
        supports_lora=facts.supports_lora,
        json_mode=facts.json_mode,
        context_window=facts.context_window,
        pricing=_pricing(facts),
        planned_deprecation_date=facts.planned_deprecation_date,
    )


def lora_model(model_id: str, base: Model, *, adapter: str | None = None) -> Model:
    """An adapter on a base model; not ready where the base takes none."""
    return base.model_copy(
        update={
            "id": model_id,
            "owned_by": "you",
            "type": "lora",
            "adapter": adapter or model_id,
            "aliases": [],
            "status": "available" if base.supports_lora else "not_ready",
        }
    )


def _type_of(facts: BaseModelFacts) -> ModelType:
    if facts.embedding:
        return "embedding"
    return "decision" if facts.decision else "base"


def _pricing(facts: BaseModelFacts) -> Pricing | None:
    if facts.input_price is None or facts.output_price is None:
        return None
    return Pricing(input_per_million=facts.input_price, output_per_million=facts.output_price)
