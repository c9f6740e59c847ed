"""Cache keys: hashes over exactly what a model is sent."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from edgeneuro.domain import routing
from edgeneuro.domain.model import Model
from edgeneuro.domain.routing import RoutingConfig


def key_of(parts: Sequence[Any]) -> str:
    """64 hex digits over canonical JSON: no part can imitate another by holding a separator."""
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hash_of(text)


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def owner(config: RoutingConfig, key_id: str) -> list[str]:
    """The part of a key that separates callers, if they do not share answers: a cache hit says that
    somebody has asked the same."""
    return [key_id] if config.cache_scope == "key" else []


def model_identity(model: Model, config: RoutingConfig) -> list[str | int | None]:
    """What says which model answers, and since which flush of the caches."""
    return [*routing.model_identity(model, config.providers), config.stored.cache_epoch]
