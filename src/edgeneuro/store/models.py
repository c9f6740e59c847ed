"""The tables `models` (those that were added) and `discovered_models` (Workers AI's catalog)."""

import json
from collections.abc import Sequence
from dataclasses import asdict, fields

from edgeneuro.domain.catalogue import BaseModelFacts
from edgeneuro.domain.model import Model, Pricing
from edgeneuro.store.database import Row, Statement, statement

_COLUMNS = (
    "id, type, base_model, adapter, status, aliases, context_window, input_price, output_price,"
    " supports_lora, json_mode, created_at, provider, logprobs"
)


def select_models() -> Statement:
    return statement(f"SELECT {_COLUMNS} FROM models ORDER BY id")


def upsert_model(model: Model, *, now_ms: int, at_revision: int) -> Statement:
    """Only while `at_revision` is the revision: the checks before looked at that. No row comes back
    where it was not."""
    pricing = model.pricing
    return statement(
        f"INSERT INTO models ({_COLUMNS}, updated_at)"
        " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15"
        " WHERE (SELECT value FROM revision) = ?16 ON CONFLICT (id) DO UPDATE SET"
        " type = excluded.type, base_model = excluded.base_model, adapter = excluded.adapter,"
        " provider = excluded.provider,"
        " status = excluded.status, aliases = excluded.aliases,"
        " context_window = excluded.context_window, input_price = excluded.input_price,"
        " output_price = excluded.output_price, supports_lora = excluded.supports_lora,"
        " json_mode = excluded.json_mode, logprobs = excluded.logprobs,"
        # Another model, if it is registered again.
        " created_at = excluded.created_at, updated_at = excluded.updated_at RETURNING id",
        model.id,
        model.type,
        model.base_model,
        model.adapter,
        model.status,
        json.dumps(model.aliases),
        model.context_window,
        None if pricing is None else pricing.input_per_million,
        None if pricing is None else pricing.output_per_million,
        model.supports_lora,
        model.json_mode,
        model.created * 1000,
        model.provider,
        model.logprobs,
        now_ms,
        at_revision,
    )


def model_from_row(row: Row) -> Model:
    pricing = None
    if row["input_price"] is not None and row["output_price"] is not None:
        pricing = Pricing(
            input_per_million=row["input_price"], output_per_million=row["output_price"]
        )
    return Model(
        id=row["id"],
        created=row["created_at"] // 1000,
        owned_by="you",
        type=row["type"],
        base_model=row["base_model"],
        adapter=row["adapter"],
        provider=row["provider"],
        status=row["status"],
        aliases=json.loads(row["aliases"]),
        supports_lora=bool(row["supports_lora"]),
        json_mode=bool(row["json_mode"]),
        logprobs=bool(row["logprobs"]),
        context_window=row["context_window"],
        pricing=pricing,
    )


_FIELDS = {field.name for field in fields(BaseModelFacts)}


def select_discovered() -> Statement:
    return statement("SELECT facts FROM discovered_models ORDER BY id")


def replace_discovered(facts: Sequence[BaseModelFacts], *, now_ms: int) -> list[Statement]:
    return [
        statement("DELETE FROM discovered_models"),
        statement(
            "INSERT INTO discovered_models (id, facts, seen_at)"
            " SELECT value ->> 'id', value, ?2 FROM json_each(?1) WHERE true"
            " ON CONFLICT (id) DO UPDATE SET facts = excluded.facts",
            json.dumps([asdict(each) for each in facts]),
            now_ms,
        ),
    ]


def facts_from_row(row: Row) -> BaseModelFacts:
    facts = json.loads(row["facts"])
    return BaseModelFacts(**{name: value for name, value in facts.items() if name in _FIELDS})
