"""The cost calculator: what a month costs, from what this installation has measured and what the
caller states instead."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

from edgeneuro.call import Call
from edgeneuro.domain.catalogue import find_model, find_routing_model
from edgeneuro.domain.costs import (
    ASSUMED_ANSWERS,
    ASSUMED_TOKENS,
    CostReport,
    CostsQuery,
    Layer,
    Workload,
    monthly_costs,
)
from edgeneuro.domain.model import Model
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.savings import MODEL_STAGE
from edgeneuro.errors import InvalidRequestError
from edgeneuro.store.database import Database, Row
from edgeneuro.store.savings import mean_tokens_of_models, select_decisions
from edgeneuro.store.usage import DAY, HOUR, add_new_logs

_DAYS = 30
_MIN_DECISIONS = 100  # for shares and a rate of this installation's own
_STAGE_LAYERS: dict[str, Layer] = {
    "classifier": "classifier",
    "embedding": "embedding",
    MODEL_STAGE: "model",
}
_SHARES: tuple[Layer, ...] = ("cache", "classifier", "embedding")
_MODEL_ALONE: dict[Layer, float] = {"cache": 0.0, "classifier": 0.0, "embedding": 0.0, "model": 1.0}
_NO_SHARES: dict[str, float] = dict.fromkeys(_SHARES, 0.0)
_ASSUMED: dict[str, float] = {"answers": ASSUMED_ANSWERS, **ASSUMED_TOKENS, **_NO_SHARES}


async def show_costs(call: Call, query: CostsQuery) -> CostReport:
    """Estimate what a month costs on Cloudflare, by who answers, and what it would cost if a model
    gave every answer. What is not stated comes from the last 30 days here, from 100 decisions on,
    and is assumed before."""
    services = call.services
    config = await services.routing.current()
    model = _model(config, query.model)
    measured = await _measured(services.db, services.now_ms())
    stated = query.model_dump(exclude_none=True, exclude={"model"})
    known = _ASSUMED | measured | stated
    shares = _shares(known, stated.keys())
    embedding = find_model(config.models, config.embedding_model or "")
    work = Workload(
        answers=round(known["answers"]),
        shares=shares,
        prompt_tokens=known["prompt_tokens"],
        completion_tokens=known["completion_tokens"],
        pricing=model.pricing,
        embedding_pricing=None if embedding is None else embedding.pricing,
        retention_days=config.retention_days,
    )
    costs = monthly_costs(work)
    only = monthly_costs(replace(work, shares=_MODEL_ALONE))
    saved = None
    if costs.total_usd is not None and only.total_usd is not None:
        saved = round(only.total_usd - costs.total_usd, 4)
    return CostReport(
        answers=work.answers,
        shares=shares,
        model=model.id,
        prompt_tokens=work.prompt_tokens,
        completion_tokens=work.completion_tokens,
        measured=sorted(measured.keys() - stated.keys()),
        assumed=sorted(known.keys() - measured.keys() - stated.keys()),
        costs=costs,
        model_only=only,
        saved_usd=saved,
    )


def _model(config: RoutingConfig, name: str | None) -> Model:
    if name is None:
        return config.active
    model = find_routing_model(config.models, name)
    if model is None:
        raise InvalidRequestError(
            f"model: {name!r} is not a model that can route. GET /v1/models lists those that are"
            " available.",
            code="unknown_model",
            param="model",
        )
    return model


def _shares(known: Mapping[str, float], stated: Container[str]) -> dict[Layer, float]:
    """Each layer's share of the answers. What the caller states holds; the others share the rest,
    in their proportions."""
    held = sum(known[layer] for layer in _SHARES if layer in stated)
    others = sum(known[layer] for layer in _SHARES if layer not in stated)
    scale = min(1.0, (1.0 - held) / others) if others else 1.0
    shares: dict[Layer, float] = {
        layer: round(known[layer] * (1.0 if layer in stated else scale), 4) for layer in _SHARES
    }
    rest = max(round(1.0 - sum(shares.values()), 4), 0.0)
    return shares | {"model": rest}


async def _measured(db: Database, now_ms: int) -> dict[str, float]:
    """Values by the names of the query's fields, as far as there is enough to measure."""
    await add_new_logs(db)
    start = (now_ms - _DAYS * DAY) // HOUR * HOUR
    decisions, [tokens] = await db.batch(
        [select_decisions(start, now_ms + 1), mean_tokens_of_models()]
    )
    return {**_rates(decisions, now_ms), **_means(tokens)}


def _rates(rows: Sequence[Row], now_ms: int) -> dict[str, float]:
    """A month's decisions, at the rate since the first day that has one, and each layer's share."""
    total = sum(row["decisions"] for row in rows)
    if total < _MIN_DECISIONS:
        return {}
    days = max((now_ms - min(row["day"] for row in rows)) / DAY, 1.0)
    by_layer = dict.fromkeys((*_SHARES, "model"), 0)
    for row in rows:
        by_layer[_STAGE_LAYERS.get(row["stage"], "cache")] += row["decisions"]
    shares: dict[str, float] = {each: round(by_layer[each] / total, 4) for each in _SHARES}
    return {"answers": round(total / days * _DAYS), **shares}


def _means(row: Row) -> dict[str, float]:
    return {name: round(row[name], 1) for name in ASSUMED_TOKENS if row[name] is not None}
