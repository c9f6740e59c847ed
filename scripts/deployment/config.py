"""wrangler's configuration of one deployment: wrangler.toml with the facts of the account.

The file lies beside wrangler.toml, because paths in it and the folder python_modules are found from
where it lies. Git ignores it; it is written at each deployment.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.deployment.options import NO_GATEWAY
from scripts.deployment.record import PRODUCTION, Record
from scripts.paths import ROOT, WRANGLER_CONFIG

GATEWAY_URL = "https://gateway.ai.cloudflare.com/v1"


def config_file(environment: str, root: Path = ROOT) -> Path:
    return root / f"wrangler.{environment}.json"


def base_config() -> dict[str, Any]:
    """wrangler.toml's top level. Its build command checks what the deployment has made ready."""
    config = tomllib.loads(WRANGLER_CONFIG.read_text(encoding="utf-8"))
    return {name: value for name, value in config.items() if name not in ("env", "build")}


def make_config(record: Record, base: Mapping[str, Any]) -> dict[str, Any]:
    """The whole configuration. The operator's own entries win."""
    [database, *more] = base["d1_databases"]
    named = {"database_name": record.database_name, "database_id": record.database_id}
    own = {
        "name": record.name,
        "account_id": record.account_id,
        # The one address is then the domain, which is no route here: wrangler, where it cannot ask,
        # would take it from another Worker and replace DNS records.
        "workers_dev": not record.domain,
        "vars": {
            "CLOUDFLARE_ACCOUNT_ID": record.account_id,
            "AI_GATEWAY_URL": _gateway_url(record),
            **record.vars,
        },
        "d1_databases": [{**database, **named}, *more],
        "ratelimits": [_own_counters(each, record) for each in base.get("ratelimits", [])],
    }
    return _merged(_merged(base, own), record.config)


def config_text(record: Record, base: Mapping[str, Any]) -> str:
    return json.dumps(make_config(record, base), indent=2) + "\n"


def _gateway_url(record: Record) -> str:
    if record.gateway == NO_GATEWAY:
        return ""
    return f"{GATEWAY_URL}/{record.account_id}/{record.gateway}"


def _own_counters(limit: Mapping[str, Any], record: Record) -> dict[str, Any]:
    """Workers of an account that name the same namespace share its counters."""
    if record.environment == PRODUCTION:
        return dict(limit)
    number = int(hashlib.sha256(record.name.encode()).hexdigest()[:8], 16)
    return {**limit, "namespace_id": str(2_000 + number % 1_000_000_000)}


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Tables are merged, all else is replaced."""
    result = dict(base)
    for name, value in over.items():
        before = result.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            value = _merged(before, value)
        result[name] = value
    return result
