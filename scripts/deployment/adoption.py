"""Takes over a deployment that another checkout has made: what its Worker is set up with stays.

A deployment sets all variables and bindings. What is not taken over would be set back, for example
who may sign in by Cloudflare Access.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from scripts.deployment.config import GATEWAY_URL, base_config
from scripts.deployment.context import Context
from scripts.deployment.options import NO_GATEWAY
from scripts.deployment.record import record_file
from scripts.steps import StepFailed

Bindings = Mapping[str, Mapping[str, Any]]

# By these a Worker of this project is recognised.
BINDINGS = {"DB": "d1", "AI": "ai", "RATE_LIMITER": "ratelimit"}
_OF_THE_ACCOUNT = ("CLOUDFLARE_ACCOUNT_ID", "AI_GATEWAY_URL")
_VALUES = ("plain_text", "secret_text")  # all else is a binding


def bindings_of(settings: object) -> Bindings:
    """The bindings of a Worker by name, as the API lists its settings."""
    given = settings.get("bindings") if isinstance(settings, dict) else None
    return {
        str(each.get("name")): each
        for each in (given if isinstance(given, list) else ())
        if isinstance(each, dict)
    }


def is_edgeneuro(bindings: Bindings) -> bool:
    return all(bindings.get(each, {}).get("type") == kind for each, kind in BINDINGS.items())


def in_workers_builds() -> bool:
    """Whether Cloudflare runs this, for the one Worker that it has made for the repository."""
    return bool(os.environ.get("WORKERS_CI"))


def require_adoption(context: Context, what: str) -> None:
    """Ask whether `what` is the operator's. Raises StepFailed if nobody says so."""
    options = context.options
    if options.adopt or options.dry_run or in_workers_builds():
        return
    if context.terminal.is_there:
        context.terminal.say(what)
        if context.terminal.confirm("Is it yours, to be updated by this checkout?"):
            return
    raise StepFailed(
        what, "to update it from this checkout add --adopt; else choose another --name or --env."
    )


def take_over(context: Context, bindings: Bindings) -> None:
    """Put into the record what the Worker is set up with. Raises StepFailed for a binding that the
    configuration does not have."""
    record = context.record
    if lost := sorted(_not_configured(bindings, [base_config(), record.config])):
        raise StepFailed(
            f"The Worker has bindings that this deployment would remove: {', '.join(lost)}.",
            f"name them in `config` of {record_file(record.environment, context.folder)}, as"
            " docs/deploy.md shows under “Configuration of your own”; then run the same command"
            " again.",
        )
    database = bindings["DB"].get("id") or bindings["DB"].get("database_id")
    if not record.database_id and isinstance(database, str):
        record.database_id = database
    live = {name: str(each["text"]) for name, each in bindings.items() if "text" in each}
    record.gateway = record.gateway or _gateway(live.get("AI_GATEWAY_URL"))
    for name, default in base_config()["vars"].items():
        value = live.get(name, default)
        if value != default and name not in _OF_THE_ACCOUNT:
            record.vars.setdefault(name, value)
    _take_over_address(context)
    record.upload = "done"


def _gateway(url: str | None) -> str:
    if url == "":
        return NO_GATEWAY
    return url.rpartition("/")[2] if url and url.startswith(GATEWAY_URL) else ""


def _take_over_address(context: Context) -> None:
    """A Worker that is not at workers.dev does not get there by an update."""
    record = context.record
    listed = context.api.list(f"{context.account}/workers/domains?service={quote(record.name)}")
    domains = [str(each["hostname"]) for each in listed if each.get("service") == record.name]
    if domains:
        record.domain = record.domain or domains[0]
        return
    path = f"{context.account}/workers/scripts/{quote(record.name)}/subdomain"
    address = context.api.find(path)
    if isinstance(address, dict) and address.get("enabled") is False:
        record.config.setdefault("workers_dev", False)


def _not_configured(bindings: Bindings, configs: list[Mapping[str, Any]]) -> Iterator[str]:
    known = {name for config in configs for name in _names(config)}
    for name, each in bindings.items():
        if each.get("type") not in _VALUES and name not in known:
            yield f"{name} ({each.get('type')})"


def _names(config: object) -> Iterator[str]:
    """What bindings are called anywhere in a configuration: `binding`, or `name` in a list."""
    if isinstance(config, Mapping):
        yield from (str(config[key]) for key in ("binding", "name") if key in config)
        for value in config.values():
            yield from _names(value)
    elif isinstance(config, list):
        for value in config:
            yield from _names(value)
