"""Where the Worker is reached: a workers.dev address, or a host name of a zone of the account."""

from typing import Any

from scripts.deployment.api import CloudflareError
from scripts.deployment.context import Context, DeployStep, Found
from scripts.deployment.options import NO_DOMAIN
from scripts.steps import StepFailed

_NO_SUBDOMAIN = 10007


def find_address(context: Context) -> Found:
    record = context.record
    record.domain = context.options.domain or record.domain
    if record.domain == NO_DOMAIN:
        record.domain = ""
    if record.domain:
        return _find_domain(context)
    if record.config.get("workers_dev") is False:
        record.address = ""
        return Found("not at workers.dev; the routes of the Worker stay as they are")
    try:
        found = context.api.get(f"{context.account}/workers/subdomain")
    except CloudflareError as error:
        if error.code != _NO_SUBDOMAIN:
            raise
        found = None
    subdomain = found.get("subdomain") if isinstance(found, dict) else None
    if not isinstance(subdomain, str) or not subdomain:
        return Found("register a workers.dev subdomain for the account", is_done=False)
    record.address = f"https://{record.name}.{subdomain}.workers.dev"
    return Found(record.address)


def register_subdomain(context: Context) -> str:
    name = context.options.subdomain
    if not name and context.terminal.is_there:
        context.terminal.say("")
        name = context.terminal.ask("The account needs a name: NAME.workers.dev. NAME? ").lower()
    if not name:
        raise StepFailed(
            "The account has no workers.dev subdomain yet.",
            "name one with --subdomain, or a host name of your own with --domain.",
        )
    try:
        path = f"{context.account}/workers/subdomain"
        context.api.call("PUT", path, {"subdomain": name})
    except CloudflareError as error:
        if not error.is_passing and not error.is_forbidden:
            error.advice = "the name may be taken: choose another with --subdomain."
        raise
    context.record.address = f"https://{context.record.name}.{name}.workers.dev"
    return context.record.address


def _find_domain(context: Context) -> Found:
    domain = context.record.domain
    context.record.address = f"https://{domain}"
    owner = _owner(context)
    if owner == context.record.name:
        return Found(domain)
    if owner:
        raise StepFailed(
            f"{domain} is a domain of the Worker {owner}.",
            "remove it there (Settings > Domains & Routes), or choose another --domain.",
        )
    labels = domain.split(".")
    parents = [".".join(labels[at:]) for at in range(len(labels) - 1)]
    try:
        zones = [each for name in parents for each in context.api.list(f"/zones?name={name}")]
    except CloudflareError as error:
        if not error.is_forbidden:
            raise
        return Found(f"{domain}, in a zone that this login may not see")
    if not zones:
        raise StepFailed(
            f"The account has no zone for {domain}.",
            f"add {'.'.join(labels[-2:])} to Cloudflare first, or choose another --domain.",
        )
    context.facts["zone"] = str(zones[0].get("id", ""))
    return Found(f"{domain}, which is added after the upload")


def _owner(context: Context) -> str:
    """The Worker that has the domain, or nobody."""
    domain = context.record.domain
    listed: list[dict[str, Any]] = context.api.list(
        f"{context.account}/workers/domains?hostname={domain}"
    )
    return next((str(each["service"]) for each in listed if each.get("hostname") == domain), "")


def look_at_domain(context: Context) -> Found:
    domain = context.record.domain
    if not domain:
        return Found("none")
    if _owner(context) == context.record.name:
        return Found(domain)
    return Found(f"add {domain} to the Worker", is_done=False)


def add_domain(context: Context) -> str:
    """Without the permission to replace anything: a DNS record that is there makes it fail."""
    record = context.record
    body = {"environment": "production", "hostname": record.domain, "service": record.name}
    if zone := context.facts.get("zone"):
        body["zone_id"] = zone
    try:
        context.api.call("PUT", f"{context.account}/workers/domains", body)
    except CloudflareError as error:
        if not error.is_passing and not error.is_forbidden:
            error.advice = (
                f"the Worker is uploaded and has no address yet. Delete the DNS record of"
                f" {record.domain}, or choose another --domain; then run the same command again."
            )
        raise
    return "done"


ADDRESS = DeployStep("Address", find_address, register_subdomain)
DOMAIN = DeployStep("Domain", look_at_domain, add_domain)
