"""What an installation costs a month on Cloudflare, by who answers: a calculator.

The platform's prices are those of the plan Workers Paid as Cloudflare's pricing pages had them in
2026-11. What an answer takes is measured by bench/load.py (docs/performance.md): D1 rows written as
D1 counts them, and the CPU time of workerd's thread on a small machine, which emulates D1, the
limiter and Workers AI as well, so that Cloudflare's is lower. Rows read are an upper estimate. AI
Gateway, its cache and the rate limiter cost nothing; the gateway's logs have limits of their own.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from edgeneuro.domain.agent import ModelId
from edgeneuro.domain.model import Pricing

PRICES_AS_OF = "2026-11"
SUBSCRIPTION_USD = 5.0
# Where the installation has answered too little to say: a routing prompt of a dozen agents.
ASSUMED_ANSWERS = 1_000_000
ASSUMED_TOKENS = {"prompt_tokens": 600.0, "completion_tokens": 20.0}
QUERY_TOKENS = 12  # of a query alone, which is all that an embedding model reads
LOG_ROW_BYTES = 2_000  # a log row with its indexes and its words for the search
_GB = 1e9

Layer = Literal["cache", "classifier", "embedding", "model"]
Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
Tokens = Annotated[FiniteFloat, Field(ge=0, le=1_000_000)]


@dataclass(frozen=True)
class PlatformPrice:
    """`usd` for `per` units, beyond those that each month includes."""

    unit: str
    included: float
    usd: float
    per: float = 1e6


PLATFORM: Mapping[str, PlatformPrice] = {
    "workers_requests": PlatformPrice("requests", 10e6, 0.30),
    "workers_cpu": PlatformPrice("CPU ms", 30e6, 0.02),
    "d1_rows_written": PlatformPrice("rows", 50e6, 1.00),
    "d1_rows_read": PlatformPrice("rows", 25e9, 0.001),
    "d1_storage": PlatformPrice("GB", 5, 0.75, per=1),
    "workers_logs": PlatformPrice("events", 20e6, 0.60),
}


@dataclass(frozen=True)
class AnswerUse:
    """What one answer takes. An invocation is one event in Workers Logs."""

    cpu_ms: float
    rows_written: float
    rows_read: float
    events: float = 1


# A model's answer writes more rows where its question comes again: then its ranking is stored.
ANSWER_USE: Mapping[Layer, AnswerUse] = {
    "cache": AnswerUse(cpu_ms=6.6, rows_written=5, rows_read=5),
    "classifier": AnswerUse(cpu_ms=6.9, rows_written=5, rows_read=5),
    "embedding": AnswerUse(cpu_ms=9, rows_written=5, rows_read=5),
    "model": AnswerUse(cpu_ms=11.3, rows_written=6, rows_read=8),
}


class CostsQuery(BaseModel):
    """What to compute with; what is missing is taken from the last 30 days of this installation, or
    assumed. `answers` are those of a month. The shares are of all answers: by a cache, a label, a
    rule or a session (`cache`), by the classifier, and by the embedding stage; a model gives the
    rest. `prompt_tokens` and `completion_tokens` are those of one decision of the model."""

    model_config = ConfigDict(extra="forbid")

    answers: Annotated[int, Field(ge=1, le=10**12)] | None = None
    model: ModelId | None = None
    prompt_tokens: Tokens | None = None
    completion_tokens: Tokens | None = None
    cache: Share | None = None
    classifier: Share | None = None
    embedding: Share | None = None

    @model_validator(mode="after")
    def _of_all(self) -> "CostsQuery":
        given = (self.cache, self.classifier, self.embedding)
        if sum(each or 0.0 for each in given) > 1 + 1e-9:
            raise ValueError("cache, classifier and embedding are shares: their sum is at most 1")
        return self


class CostItem(BaseModel):
    """`quantity` a month, of which the plan includes `included`. `usd` is null if the model's price
    is not known."""

    item: str
    unit: str
    quantity: float
    included: float
    usd: float | None


class MonthlyCosts(BaseModel):
    """`platform_usd` has the subscription of $5, `models_usd` the routing model and the embedding
    model; both and the sum are null where a price is not known."""

    items: list[CostItem]
    platform_usd: float
    models_usd: float | None
    total_usd: float | None
    usd_per_million_answers: float | None


class CostReport(BaseModel):
    """An estimate in USD a month, and what the same answers would cost if a model gave all of them
    (`model_only`). `measured` names the inputs that are this installation's own of the last 30
    days, `assumed` those that are assumed. Chats cost their own tokens in addition: a calculation
    here is of the routing alone."""

    object: Literal["costs"] = "costs"
    answers: int
    shares: dict[Layer, float]
    model: str
    prompt_tokens: float
    completion_tokens: float
    measured: list[str]
    assumed: list[str]
    costs: MonthlyCosts
    model_only: MonthlyCosts
    saved_usd: float | None
    prices_as_of: str = PRICES_AS_OF


@dataclass(frozen=True)
class Workload:
    """A month: `answers`, by whom, and what a model's and an embedding model's decision takes.
    `retention_days` is how long log rows are kept."""

    answers: int
    shares: Mapping[Layer, float]
    prompt_tokens: float
    completion_tokens: float
    pricing: Pricing | None
    embedding_pricing: Pricing | None
    retention_days: float


def monthly_costs(work: Workload) -> MonthlyCosts:
    platform = [_item(name, quantity) for name, quantity in _quantities(work).items()]
    models = [*_model_items(work)]
    fees = [each.usd for each in models]
    models_usd = None if None in fees else sum(fee or 0.0 for fee in fees)
    platform_usd = SUBSCRIPTION_USD + sum(each.usd or 0.0 for each in platform)
    total = None if models_usd is None else platform_usd + models_usd
    return MonthlyCosts(
        items=[*platform, *models],
        platform_usd=_cents(platform_usd),
        models_usd=None if models_usd is None else _cents(models_usd),
        total_usd=None if total is None else _cents(total),
        usd_per_million_answers=None if total is None else _cents(total / work.answers * 1e6),
    )


def _quantities(work: Workload) -> dict[str, float]:
    """A month's, by the name of the platform's item."""
    uses = [(share, ANSWER_USE[layer]) for layer, share in work.shares.items()]

    def total(use: Callable[[AnswerUse], float]) -> float:
        return work.answers * sum(share * use(each) for share, each in uses)

    return {
        "workers_requests": work.answers,
        "workers_cpu": total(lambda use: use.cpu_ms),
        "d1_rows_written": total(lambda use: use.rows_written),
        "d1_rows_read": total(lambda use: use.rows_read),
        "d1_storage": work.answers * LOG_ROW_BYTES / _GB * work.retention_days / 30,
        "workers_logs": total(lambda use: use.events),
    }


def _item(name: str, quantity: float) -> CostItem:
    price = PLATFORM[name]
    usd = max(quantity - price.included, 0.0) / price.per * price.usd
    return CostItem(
        item=name,
        unit=price.unit,
        quantity=round(quantity, 3),
        included=price.included,
        usd=_cents(usd),
    )


def _model_items(work: Workload) -> Iterable[CostItem]:
    asked = work.answers * work.shares["model"]
    yield _tokens("model_prompt", asked * work.prompt_tokens, _input_price(work.pricing))
    output_price = None if work.pricing is None else work.pricing.output_per_million
    yield _tokens("model_completion", asked * work.completion_tokens, output_price)
    if embedded := work.answers * work.shares["embedding"]:
        # The embedding stage stands before the model: it has read what the model decides, too.
        price = _input_price(work.embedding_pricing)
        yield _tokens("embedding_prompt", (embedded + asked) * QUERY_TOKENS, price)


def _input_price(pricing: Pricing | None) -> float | None:
    return None if pricing is None else pricing.input_per_million


def _tokens(name: str, quantity: float, price: float | None) -> CostItem:
    usd = 0.0 if not quantity else None if price is None else quantity / 1e6 * price
    return CostItem(
        item=name,
        unit="tokens",
        quantity=round(quantity, 3),
        included=0,
        usd=None if usd is None else _cents(usd),
    )


def _cents(usd: float) -> float:
    """To a hundredth of a cent: installations differ in millions of answers."""
    return round(usd, 4)
