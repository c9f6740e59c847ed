"""What the environment says about one run of the product."""

import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from scripts.identity_key import new_identity_key
from scripts.paths import STATE
from scripts.private import (
    TOKEN_BYTES,
    private_folder,
    read_private,
    stored_token,
    write_private,
)
from scripts.steps import StepFailed

MIN_ADMIN_TOKEN = 24  # characters; the Worker accepts no shorter one either
LOCAL_SIGNING_SECRET = "local-agent-signing-secret"
LOCAL_API_TOKEN = "local-api-token"  # the emulator takes any; a real one has no business there
LOCAL_AGENT_KEY = "local-agent-key"  # of the agents of the emulator, who take any text
LOCAL_PROVIDER_KEY = "local-provider-key"  # the emulator takes any text
# What can stand behind "Bearer" (RFC 6750); none of it means anything in an env file.
BEARER_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


@dataclass(frozen=True)
class Options:
    """Where the product listens, who may administer it, where its data is, and by what agents know
    it."""

    port: int
    admin_token: str
    state: Path
    access_team_domain: str = ""
    access_aud: str = ""
    agent_signing_secret: str = LOCAL_SIGNING_SECRET
    request_log: str = ""  # which requests write a line; empty: as wrangler.toml says
    log_queue: str = ""  # "true": log rows go through a queue; empty: as wrangler.toml says
    rate_limit: str = ""  # requests a minute of a key; empty: as wrangler.toml says
    otlp_endpoint: str = ""  # where spans of requests go
    log_sink: str = ""  # "true": log rows are written to a bucket; empty: as wrangler.toml says
    durable_log: str = ""  # "true": an answer waits for its log row; empty: as wrangler.toml says
    # wrangler lets everybody who reaches the port fire a cron; the Worker asks for this.
    cron_token: str = field(default_factory=lambda: secrets.token_urlsafe(TOKEN_BYTES))

    @classmethod
    def from_environment(cls) -> "Options":
        port = os.environ.get("PORT") or "8787"
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise StepFailed(f"PORT is {port!r}.", "set PORT to a number from 1 to 65535.")
        signing_secret = _secret("AGENT_SIGNING_SECRET", LOCAL_SIGNING_SECRET)
        access = [os.environ.get(name) or "" for name in ("ACCESS_TEAM_DOMAIN", "ACCESS_AUD")]
        if not all(re.fullmatch(r"[A-Za-z0-9.:-]*", value) for value in access):
            raise StepFailed(
                "ACCESS_TEAM_DOMAIN or ACCESS_AUD contains characters that it cannot have.",
                "copy them from the Access application's settings.",
            )
        state = os.environ.get("EDGENEURO_STATE")
        folder = Path(state).expanduser().resolve() if state else STATE
        token = _admin_token(folder)
        lines = os.environ.get("REQUEST_LOG") or ""
        if lines not in ("", "errors", "sampled", "all"):
            raise StepFailed(
                f"REQUEST_LOG is {lines!r}.", 'set it to "errors", "sampled" or "all".'
            )
        queue, durable = _switch("USE_LOG_QUEUE"), _switch("DURABLE_LOG")
        limit = os.environ.get("RATE_LIMIT") or ""
        if limit and not (limit.isdecimal() and int(limit)):
            raise StepFailed(f"RATE_LIMIT is {limit!r}.", "set it to a number from 1.")
        collector = os.environ.get("OTLP_ENDPOINT") or ""
        if not re.fullmatch(r"(https?://[!-~]+)?", collector):
            raise StepFailed(f"OTLP_ENDPOINT is {collector!r}.", "set it to an address.")
        return cls(
            port=int(port),
            admin_token=token,
            state=folder,
            access_team_domain=access[0],
            access_aud=access[1],
            agent_signing_secret=signing_secret,
            request_log=lines,
            log_queue=queue,
            otlp_endpoint=collector,
            log_sink=_switch("USE_LOG_SINK"),
            durable_log=durable,
            rate_limit=limit,
        )

    def identity_key(self) -> str:
        """By which agents know who asks. One of its own in each installation."""
        path = self.notes / "identity_key"
        if not path.exists():
            private_folder(path.parent)
            write_private(path, new_identity_key())
        return read_private(path)

    @property
    def base_url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def notes(self) -> Path:
        """EdgeNeuro's own folder in the state folder; the others are wrangler's."""
        return notes_folder(self.state)


def notes_folder(state: Path) -> Path:
    return state / "edgeneuro"


def admin_token_file(state: Path) -> Path:
    """Where the admin token of an installation is, if ADMIN_TOKEN gives none."""
    return notes_folder(state) / "admin_token"


def _admin_token(state: Path) -> str:
    path = admin_token_file(state)
    try:
        token = _secret("ADMIN_TOKEN", "") if os.environ.get("ADMIN_TOKEN") else stored_token(path)
    except OSError as error:
        raise StepFailed(
            f"The admin token cannot be read from {path}: {error.strerror}.",
            "remove the file, or set ADMIN_TOKEN.",
        ) from error
    if len(token) < MIN_ADMIN_TOKEN:
        raise StepFailed(
            f"ADMIN_TOKEN has {len(token)} characters; at least {MIN_ADMIN_TOKEN} are required.",
            "choose a longer one, for example the output of `openssl rand -hex 16`, or leave it"
            f" out: then a random one is written to {path}.",
        )
    return token


def _switch(name: str) -> str:
    value = os.environ.get(name) or ""
    if value not in ("", "true", "false"):
        raise StepFailed(f"{name} is {value!r}.", 'set it to "true" or "false".')
    return value


def _secret(name: str, default: str) -> str:
    value = os.environ.get(name) or default
    if not BEARER_TOKEN.fullmatch(value):
        raise StepFailed(
            f"{name} contains characters that a bearer token cannot have.",
            "use letters, digits and - . _ ~ + / only.",
        )
    return value
