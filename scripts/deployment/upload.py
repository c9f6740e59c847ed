"""Tables and code, by wrangler: first the migrations, then the Worker with its secrets."""

import json
import tempfile
from pathlib import Path

from scripts.deployment.admin_token import MADE, SET, secrets_to_upload
from scripts.deployment.config import base_config, config_text
from scripts.deployment.context import Context, DeployStep, Entry, Found
from scripts.deployment.resources import pending_migrations
from scripts.deployment.wrangler_calls import VERSION_ADVICE
from scripts.paths import MIGRATIONS
from scripts.private import write_private
from scripts.steps import StepFailed, read

_MEGABYTE = 1e6


def look_at_config(context: Context) -> Found:
    record = context.record
    base = base_config()
    for name, value in context.options.vars:
        if name not in base["vars"]:
            raise StepFailed(
                f"wrangler.toml has no variable {name}.",
                f"it has {', '.join(base['vars'])}. Secrets: npm run wrangler -- secret put NAME.",
            )
        record.vars[name] = value
    if read(context.config) == config_text(record, base):
        return Found(f"{context.config.name} is current")
    return Found(f"write {context.config.name}", is_done=False)


def write_config(context: Context) -> str:
    write_private(context.config, config_text(context.record, base_config()))
    return "done"


def look_at_migrations(context: Context) -> Found:
    files = [each.name for each in MIGRATIONS.glob("*.sql")]
    pending = pending_migrations(context, files)
    context.facts["tables"] = "none" if len(pending) == len(files) else "some"
    if not pending:
        return Found(f"all {len(files)} migrations are applied")
    return Found(f"apply {len(pending)} of {len(files)} migrations", is_done=False)


def migrate(context: Context) -> str:
    context.wrangler(["d1", "migrations", "apply", "DB", "--remote"])
    if pending := pending_migrations(context, [each.name for each in MIGRATIONS.glob("*.sql")]):
        raise StepFailed(
            f"{len(pending)} migrations are missing still, the first is {pending[0]}.",
            "run the same command again: it continues with the first that is missing.",
        )
    return "done"


def look_at_upload(context: Context) -> Found:
    verb = "update" if context.record.upload else "create"
    return Found(f"{verb} the Worker {context.record.name}", is_done=False)


def upload(context: Context) -> str:
    """One upload sets code, variables, bindings, secrets, pages, crons and the address."""
    record = context.record
    record.upload = record.upload or "begun"
    context.save()
    words = ["deploy"]
    with tempfile.TemporaryDirectory() as folder:
        if secrets := secrets_to_upload(context):
            file = Path(folder) / "secrets.json"
            write_private(file, json.dumps(secrets))
            words += ["--secrets-file", str(file)]
        entries = context.wrangler(words)
    report = deployed(entries)
    record.upload = "done"
    if record.admin_token == MADE:
        record.admin_token = SET
        context.facts["token"] = MADE
    size = report.get("bundle_size")
    compressed = size.get("gzip_bytes") if isinstance(size, dict) else None
    text = f", {compressed / _MEGABYTE:.1f} MB compressed" if isinstance(compressed, int) else ""
    return f"version {report['version_id']}{text}"


def deployed(entries: list[Entry]) -> Entry:
    """What wrangler reports of a deployment. Raises StepFailed if it is not there: it may have
    been made all the same."""
    for entry in entries:
        if entry.get("type") == "deploy" and isinstance(entry.get("version_id"), str):
            return entry
    raise StepFailed("wrangler ended well, but did not report a version.", VERSION_ADVICE)


CONFIG = DeployStep("Configuration", look_at_config, write_config)
TABLES = DeployStep("Database tables", look_at_migrations, migrate)
UPLOAD = DeployStep("Upload", look_at_upload, upload)
