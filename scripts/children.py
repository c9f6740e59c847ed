"""The two processes of the product: the local AI server, and wrangler with workerd under it.

What differs from run to run is written into the state folder, never into the checkout, so that
several installations can run at a time.
"""

import json
import os
import tomllib
from pathlib import Path

from scripts import paths
from scripts.options import LOCAL_AGENT_KEY, LOCAL_API_TOKEN, LOCAL_PROVIDER_KEY, Options
from scripts.private import write_private
from scripts.processes import Child
from scripts.wrangler import environment, wrangler

AI_WORKER = "edgeneuro-local-ai"  # wrangler.toml binds it as AI and as OUTBOUND


def local_ai_log(options: Options) -> Path:
    return options.notes / "local-ai.log"


def wrangler_log(options: Options) -> Path:
    return options.notes / "wrangler.log"


def start_local_ai(options: Options, ai_url: str) -> Child:
    port = ai_url.rpartition(":")[2]
    return Child.start(
        "The local AI server",
        [str(paths.PYTHON), "-m", "local"],
        environment={
            "LOCAL_AI_FINETUNES": str(options.notes / "finetunes"),
            **os.environ,
            "LOCAL_AI_HOST": "127.0.0.1",
            "LOCAL_AI_PORT": port,
        },
        log=local_ai_log(options),
    )


def start_wrangler(options: Options, ai_url: str) -> Child:
    words: list[str | Path] = ["dev", "--env", "local", "--persist-to", options.state]
    for config in (worker_config(options), write_ai_worker(options, ai_url)):
        words += ["--config", config]
    for secrets in (paths.DEV_VARS, write_secrets(options)):  # the later one wins
        if secrets.exists():
            words += ["--env-file", secrets]
    words += ["--port", str(options.port), "--inspector-port", "0"]
    words += ["--show-interactive-dev-session=false"]
    return Child.start(
        "The Worker",
        wrangler(*words),
        environment=environment(options.state),
        log=wrangler_log(options),
    )


def worker_config(options: Options) -> Path:
    """wrangler.toml, or a copy with another limit of RATE_LIMITER."""
    if not options.rate_limit:
        return paths.WRANGLER_CONFIG
    config = tomllib.loads(paths.WRANGLER_CONFIG.read_text(encoding="utf-8"))
    config["main"] = str(paths.ROOT / config["main"])
    local = config["env"]["local"]
    local["assets"]["directory"] = str(paths.ROOT / local["assets"]["directory"])
    for limit in local["ratelimits"]:
        limit["simple"]["limit"] = int(options.rate_limit)
    path = options.notes / "wrangler.json"
    write_private(path, json.dumps({**config, "env": {"local": local}}, indent=2))
    packages = options.notes / paths.WORKER_PACKAGES.name  # wrangler looks beside its config
    packages.unlink(missing_ok=True)
    packages.symlink_to(paths.WORKER_PACKAGES)
    return path


def write_ai_worker(options: Options, ai_url: str) -> Path:
    """Write the config of the Worker that stands for the AI binding."""
    main_config = tomllib.loads(paths.WRANGLER_CONFIG.read_text(encoding="utf-8"))
    inherited_by_none = {"name": AI_WORKER, "vars": {"LOCAL_AI_ORIGIN": ai_url}}
    config = {
        **inherited_by_none,
        "main": str(paths.LOCAL_AI_WORKER),
        "no_bundle": True,  # to watch what is bundled takes CPU all the time
        "compatibility_date": main_config["compatibility_date"],
        "env": {"local": inherited_by_none},
    }
    path = options.notes / "local-ai.json"
    write_private(path, json.dumps(config, indent=2))
    return path


def write_secrets(options: Options) -> Path:
    """Write the secrets where only this user reads them; a command line is seen by everybody."""
    secrets = {
        "ADMIN_TOKEN": options.admin_token,
        "CLOUDFLARE_API_TOKEN": LOCAL_API_TOKEN,
        "AGENT_SIGNING_SECRET": options.agent_signing_secret,
        # In single quotes it is one text to wrangler.
        "AGENT_IDENTITY_KEY": f"'{options.identity_key()}'",
        "AGENT_KEY": LOCAL_AGENT_KEY,
        "LOCAL_AGENTS": "true",
        "CRON_TOKEN": options.cron_token,
        "PROVIDER_KEY": LOCAL_PROVIDER_KEY,
    }
    if options.access_team_domain:
        secrets["ACCESS_TEAM_DOMAIN"] = options.access_team_domain
        secrets["ACCESS_AUD"] = options.access_aud
    if options.otlp_endpoint:
        secrets["OTLP_ENDPOINT"] = options.otlp_endpoint
    if options.request_log:
        secrets["REQUEST_LOG"] = options.request_log
    if options.log_queue:
        secrets["USE_LOG_QUEUE"] = options.log_queue
    if options.log_sink:
        secrets["USE_LOG_SINK"] = options.log_sink
    if options.durable_log:
        secrets["DURABLE_LOG"] = options.durable_log
    path = options.notes / "secrets.env"
    write_private(path, "".join(f"{name}={value}\n" for name, value in secrets.items()))
    return path
