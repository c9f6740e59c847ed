"""Workers AI's own catalogue of models, as `env.AI.models()` gives it, in our words.

An entry's id is an internal one; what a request names is its `name`. Properties are strings or
numbers, "true" or true, as seen live.
"""

from collections.abc import Sequence
from typing import Any

from edgeneuro.domain.catalogue import BaseModelFacts


def read_catalogue(entries: Sequence[Any]) -> list[BaseModelFacts]:
    """What is told of each model; an entry that cannot be read is passed over."""
    return [_facts(entry) for entry in entries if _is_model(entry)]


def _is_model(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("name"), str) and 0 < len(entry["name"])


def _facts(entry: dict[str, Any]) -> BaseModelFacts:
    properties = _properties(entry.get("properties"))
    prices = _prices(properties.get("price"))
    return BaseModelFacts(
        id=entry["name"][:200],
        input_price=prices.get("per M input tokens"),
        output_price=prices.get("per M output tokens"),
        context_window=_whole(properties.get("context_window")),
        supports_lora=_true(properties.get("lora")),
        planned_deprecation_date=_text(properties.get("planned_deprecation_date")),
    )


def _properties(given: Any) -> dict[str, Any]:
    listed = given if isinstance(given, list) else []
    return {
        each["property_id"]: each.get("value")
        for each in listed
        if isinstance(each, dict) and isinstance(each.get("property_id"), str)
    }


def _prices(given: Any) -> dict[str, float]:
    listed = given if isinstance(given, list) else []
    return {
        each["unit"]: float(each["price"])
        for each in listed
        if isinstance(each, dict)
        and isinstance(each.get("unit"), str)
        and isinstance(each.get("price"), int | float)
        and each["price"] >= 0
    }


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    return value if isinstance(value, int) and value > 0 else None


def _true(value: Any) -> bool:
    return value is True or value == "true"


def _text(value: Any) -> str | None:
    return value[:100] if isinstance(value, str) and value else None
