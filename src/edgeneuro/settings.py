"""The [vars] and secrets of wrangler. They are defaults: values that the control plane stores take
precedence."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import urlsplit

# Which requests write a line of JSON to the Worker's log; errors always do.
RequestLines = Literal["errors", "sampled", "all"]
MIN_ADMIN_TOKEN = 24  # characters; a shorter ADMIN_TOKEN is not accepted


@dataclass(frozen=True)
class Settings:
    """An empty string or tuple means "not configured"."""

    routing_model: str = "@cf/meta/llama-3.2-1b-instruct"
    fallback_models: tuple[str, ...] = ()
    fine_tuned_model: str = ""
    intent_lora: str = ""
    ai_gateway_url: str = ""
    cloudflare_account_id: str = ""
    allowed_origins: tuple[str, ...] = ()
    provider_hosts: tuple[str, ...] = ()
    admin_token: str = ""
    access_team_domain: str = ""
    access_aud: str = ""
    allowed_hosts: tuple[str, ...] = ()
    cron_token: str = ""
    request_log: RequestLines = "errors"
    agent_hosts: tuple[str, ...] = ()
    identity_issuer: str = "edgeneuro"  # of the tokens that agents get
    local_agents: bool = False  # whether agents may be programs on this machine
    log_queue: bool = True  # whether LOG_QUEUE is used, if it is bound
    log_sink: bool = True  # whether LOG_SINK is used, if it is bound
    otlp_endpoint: str = ""  # where spans of requests go
    otlp_sample: float = 1.0  # the share of new traces that is recorded
    durable_log: bool = False  # whether an answer waits until its log row is written

    @property
    def gateway_id(self) -> str:
        """The last path part of AI_GATEWAY_URL: the name by which the AI binding knows the
        gateway."""
        return urlsplit(self.ai_gateway_url).path.rstrip("/").rpartition("/")[2]


def read_settings(variable: Callable[[str], str | None]) -> Settings:
    """Settings from a look-up of variables by name; a missing or blank one leaves the default."""

    def text(name: str, default: str = "") -> str:
        return (variable(name) or "").strip() or default

    def words(name: str) -> tuple[str, ...]:
        return tuple(part for part in text(name).replace(",", " ").split() if part)

    return Settings(
        routing_model=text("ROUTING_MODEL", Settings.routing_model),
        fallback_models=words("FALLBACK_MODELS"),
        fine_tuned_model=text("FINE_TUNED_MODEL"),
        intent_lora=text("INTENT_LORA"),
        ai_gateway_url=text("AI_GATEWAY_URL"),
        cloudflare_account_id=text("CLOUDFLARE_ACCOUNT_ID"),
        allowed_origins=words("ALLOWED_ORIGINS"),
        provider_hosts=tuple(host.lower() for host in words("PROVIDER_HOSTS")),
        admin_token=text("ADMIN_TOKEN"),
        access_team_domain=text("ACCESS_TEAM_DOMAIN").removeprefix("https://").rstrip("/"),
        access_aud=text("ACCESS_AUD"),
        allowed_hosts=words("ALLOWED_HOSTS"),
        cron_token=text("CRON_TOKEN"),
        agent_hosts=tuple(host.lower() for host in words("AGENT_HOSTS")),
        identity_issuer=text("AGENT_IDENTITY_ISSUER", Settings.identity_issuer),
        local_agents=text("LOCAL_AGENTS").lower() == "true",
        request_log=_request_lines(text("REQUEST_LOG")),
        otlp_endpoint=_otlp_endpoint(text("OTLP_ENDPOINT")),
        otlp_sample=_share(text("OTLP_SAMPLE")),
        log_queue=text("USE_LOG_QUEUE").lower() not in ("false", "0", "no", "off"),
        log_sink=text("USE_LOG_SINK").lower() not in ("false", "0", "no", "off"),
        durable_log=text("DURABLE_LOG").lower() in ("true", "1", "yes", "on"),
    )


def _otlp_endpoint(given: str) -> str:
    """Nothing where it is no address: a deployment must not fail because of it. Without a path it
    is that of OTLP."""
    parts = urlsplit(given)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        return ""
    return given if parts.path.strip("/") else f"{given.rstrip('/')}/v1/traces"


def _share(given: str) -> float:
    try:
        share = float(given or 1)
    except ValueError:
        return 1.0
    return share if 0 <= share <= 1 else 1.0


def _request_lines(given: str) -> RequestLines:
    """A value that is none of them is the default: a deployment must not fail because of it."""
    known: dict[str, RequestLines] = {each: each for each in get_args(RequestLines)}
    return known.get(given, Settings.request_log)
