"""What the Worker needs in the account: its name, a database, a gateway. Found, or made once."""

import os
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from scripts.deployment.adoption import (
    bindings_of,
    in_workers_builds,
    is_edgeneuro,
    require_adoption,
    take_over,
)
from scripts.deployment.api import CloudflareError
from scripts.deployment.config import base_config
from scripts.deployment.context import Context, DeployStep, Found
from scripts.deployment.options import NO_GATEWAY
from scripts.deployment.record import PRODUCTION, record_file
from scripts.steps import StepFailed

DEFAULT_GATEWAY = "default"
_NAME_TAKEN = 7502


def find_worker(context: Context) -> Found:
    """Settle the Worker's name. Another Worker of that name is not replaced."""
    record, options = context.record, context.options
    name = _settled("name", record.name, options.name, context) or _default_name(record.environment)
    record.name = name
    is_ours = record.upload != ""
    found = context.api.find(f"{context.account}/workers/scripts/{quote(name)}/settings")
    if found is None:
        return Found(f"{name} is not there yet; the upload creates it")
    if is_ours:
        return Found(f"{name} is there")
    bindings = bindings_of(found)
    if not is_edgeneuro(bindings):
        if in_workers_builds():
            record.upload = "begun"
            return Found(f"{name} is there, and empty; Workers Builds has made it")
        raise StepFailed(
            f"The account has another Worker of the name {name}, which is no EdgeNeuro.",
            "choose another name with --name.",
        )
    require_adoption(context, f"The account has an EdgeNeuro of the name {name} already.")
    take_over(context, bindings)
    return Found(f"{name} is there, and taken over")


def _default_name(environment: str) -> str:
    """Workers Builds may have given the Worker another name than the file."""
    name = os.environ.get("WRANGLER_CI_OVERRIDE_NAME") or str(base_config()["name"])
    return name if environment == PRODUCTION else f"{name}-{environment}"


def _settled(what: str, recorded: str, given: str, context: Context) -> str:
    if recorded and given and recorded != given:
        raise StepFailed(
            f"The {what} in {record_file(context.record.environment, context.folder)} is"
            f" {recorded}, and {given} is named.",
            f"leave out --{what}, or make another deployment with another --env.",
        )
    return recorded or given


def find_database(context: Context) -> Found:
    record = context.record
    wanted = _settled("database", record.database_name, context.options.database, context)
    if record.database_id:
        return _known_database(context)
    record.database_name = wanted or record.name
    [own, *_] = base_config()["d1_databases"]
    if own.get("database_id"):  # whoever made it has put it there, as a button of Cloudflare does
        record.database_id = str(own["database_id"])
        return _known_database(context)
    found = _by_name(context)
    if found is None:
        return Found(f"create the D1 database {record.database_name}", is_done=False)
    if not record.database_begun and (tables := _tables(context, found)):
        if "d1_migrations" not in tables or "agents" not in tables:
            raise StepFailed(
                f"The account has a database {record.database_name} with other content.",
                "choose another name with --database.",
            )
        require_adoption(
            context, f"The account has a database {record.database_name} of an EdgeNeuro already."
        )
    record.database_id, record.database_begun = found, False
    return Found(f"{record.database_name} ({found}) was there")


def _known_database(context: Context) -> Found:
    record = context.record
    found = context.api.find(f"{context.account}/d1/database/{quote(record.database_id)}")
    if not isinstance(found, dict):
        raise StepFailed(
            f"The account has no database {record.database_id}, which the deployment uses.",
            "if it was deleted, set database_id to an empty text in"
            f" {record_file(record.environment, context.folder)}; a new, empty one is made then.",
        )
    record.database_name = str(found.get("name") or record.database_name)
    return Found(f"{record.database_name} ({record.database_id})")


def create_database(context: Context) -> str:
    """What was asked for is noted first: a database that a cut-off call has made is ours."""
    record = context.record
    record.database_begun = True
    context.save()
    body = {"name": record.database_name}
    if context.options.location:
        body["primary_location_hint"] = context.options.location
    try:
        made = context.api.call("POST", f"{context.account}/d1/database", body)
        record.database_id = str(made["uuid"])
    except CloudflareError as error:
        found = _by_name(context) if error.code == _NAME_TAKEN else None
        if found is None:
            raise
        record.database_id = found
    except (TypeError, KeyError) as error:
        raise StepFailed(
            "Cloudflare's answer has no id of the new database.", "run the same command again."
        ) from error
    record.database_begun = False
    context.save()
    return record.database_id


def _by_name(context: Context) -> str | None:
    name = context.record.database_name
    listed = context.api.list(f"{context.account}/d1/database?name={quote(name)}")
    return next((str(each["uuid"]) for each in listed if each.get("name") == name), None)


def _tables(context: Context, database: str) -> set[str]:
    rows = query(context, database, "SELECT name FROM sqlite_master WHERE type = 'table'")
    internal = ("sqlite_", "_cf_")
    return {str(each["name"]) for each in rows if not str(each["name"]).startswith(internal)}


def query(context: Context, database: str, sql: str) -> list[dict[str, Any]]:
    """The rows of one statement. Raises StepFailed."""
    path = f"{context.account}/d1/database/{quote(database)}/query"
    answer = context.api.call("POST", path, {"sql": sql})
    try:
        rows: list[dict[str, Any]] = answer[0]["results"]
        return list(rows)
    except (TypeError, KeyError, IndexError) as error:
        raise StepFailed(
            "D1's answer has no rows.", "run the same command again; if it stays, report it."
        ) from error


def find_gateway(context: Context) -> Found:
    record = context.record
    record.gateway = context.options.gateway or record.gateway or DEFAULT_GATEWAY
    if record.gateway == NO_GATEWAY:
        return Found("none; Workers AI is called directly")
    if record.gateway == DEFAULT_GATEWAY:
        return Found("default, which Cloudflare creates at the first call")
    try:
        listed = context.api.list(f"{context.account}/ai-gateway/gateways")
    except CloudflareError as error:
        if not error.is_forbidden:
            raise
        return Found(f"{record.gateway}, which this login may not see; it must be there")
    if any(each.get("id") == record.gateway for each in listed):
        return Found(f"{record.gateway} is there")
    return Found(f"create {record.gateway}", is_done=False)


def create_gateway(context: Context) -> str:
    settings = {
        "cache_invalidate_on_update": True,
        "cache_ttl": 0,
        "collect_logs": True,
        "rate_limiting_interval": 0,
        "rate_limiting_limit": 0,
        "rate_limiting_technique": "fixed",
    }
    try:
        body = {"id": context.record.gateway, **settings}
        context.api.call("POST", f"{context.account}/ai-gateway/gateways", body)
    except CloudflareError as error:
        if error.is_forbidden:
            error.advice = (
                f"create the gateway {context.record.gateway} in the dashboard (AI > AI Gateway),"
                " or leave out --gateway; then run the same command again."
            )
        raise
    return "done"


def pending_migrations(context: Context, known: Iterable[str]) -> list[str]:
    """Those that the database has not had. Raises StepFailed if it had some that are not known
    here: the checkout is older than the deployment."""
    names = sorted(known)
    database = context.record.database_id
    if not database or "d1_migrations" not in _tables(context, database):
        return names
    rows = query(context, database, "SELECT name FROM d1_migrations")
    applied = {str(each["name"]) for each in rows}
    if newer := sorted(applied - set(names)):
        raise StepFailed(
            f"The database is of a newer version: it has had {newer[-1]}.",
            "update this checkout (git pull) and deploy that.",
        )
    return [each for each in names if each not in applied]


WORKER = DeployStep("Worker", find_worker)
DATABASE = DeployStep("Database", find_database, create_database)
GATEWAY = DeployStep("AI Gateway", find_gateway, create_gateway)
