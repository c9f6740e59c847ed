"""Asks the deployment itself: its health, one query, and what it will cost."""

import http.client
import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from scripts.deployment.context import Context, DeployStep, Found
from scripts.http import DIRECT, HERE, SameOriginRedirects
from scripts.paths import PACKAGE_JSON
from scripts.steps import StepFailed

QUERY = "My VPN does not connect"
ANSWERS = 1_000_000  # a month, for the estimate
NO_AGENTS = "not_configured"  # the code of the error
TRIES = 45
PAUSE = 2.0  # seconds; a new address needs up to a minute or two until it is known everywhere
SECONDS = 30.0
SUBSCRIPTION_USD = 5.0  # domain/costs.py has the other prices
COSTS_PAGE = "docs/deploy.md, “What it costs”"


class NoAnswer(Exception):
    """The deployment did not answer as it should; `status` is None without any answer, `code` is
    that of its error."""

    def __init__(self, text: str, status: int | None = None, code: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.code = code


def look_at_check(context: Context) -> Found:
    if not context.options.check:
        return Found("left out (--no-check)")
    if not _address(context):
        return Found("left out, as the address is not known; --address names it")
    return Found(f"ask {_address(context)}/healthz and route a query", is_done=False)


def check(context: Context) -> str:
    """Wait until the new version answers, then route a query."""
    version = wait_for_health(context)
    if not context.admin_token:
        return f"version {version} answers; no query was routed, as ADMIN_TOKEN is not set"
    try:
        decision = _ask(context, "/v1/route", {"query": QUERY})
    except NoAnswer as error:
        if error.code == NO_AGENTS:
            return f"version {version} answers; it routes as soon as there are agents"
        raise StepFailed(f"A query was not routed: {error}.", _route_advice(error)) from error
    return f"version {version} answers. {routed(decision)}"


def wait_for_health(context: Context) -> str:
    """The version that answers. Raises StepFailed after a minute and a half."""
    wanted = json.loads(PACKAGE_JSON.read_text(encoding="utf-8"))["version"]
    problem = ""
    for attempt in range(TRIES):
        if attempt:
            context.sleep(PAUSE)
        try:
            health = _ask(context, "/healthz")
        except NoAnswer as error:
            problem = str(error)
            continue
        version, schema = health.get("version"), health.get("schema")
        state = schema.get("state", "same") if isinstance(schema, dict) else "same"
        if version == wanted and state == "same":
            return str(version)
        problem = f"version {version} answers, not {wanted}"
        if version == wanted:
            problem = f"the tables are {state} than the Worker needs"
    raise StepFailed(
        f"{_address(context)}/healthz: {problem}.",
        "everything is uploaded. A new address may need some minutes; run the same command again."
        " `npm run wrangler -- tail` shows errors of the Worker. If Cloudflare Access"
        " protects the address, add --no-check.",
    )


def routed(decision: dict[str, Any]) -> str:
    """One sentence on a decision."""
    agent = decision.get("agent")
    ms = decision.get("latency_ms")
    time = f" in {ms:.0f} ms" if isinstance(ms, int | float) else ""
    if isinstance(agent, dict) and agent.get("id"):
        return f"“{QUERY}” goes to {agent['id']}{time}"
    outcome = decision.get("outcome")
    return f"“{QUERY}” goes to no agent (outcome {outcome}){time}; create your agents next"


def _route_advice(error: NoAnswer) -> str:
    if error.status in (401, 403):
        return (
            "the deployment has another admin token. Set ADMIN_TOKEN to it, or replace it by"
            " --new-admin-token."
        )
    return "see the message above; the deployment itself is in place. Run the same command again."


def costs(context: Context) -> str:
    """What a million answers a month cost, by the deployment's own calculator."""
    general = f"Workers Paid costs ${SUBSCRIPTION_USD:.0f} a month; see {COSTS_PAGE}."
    if not context.admin_token or not context.options.check or not _address(context):
        return general
    try:
        answer = _ask(context, f"/v1/costs?answers={ANSWERS}")
        total, model = answer["costs"]["total_usd"], answer["model"]
    except (NoAnswer, KeyError, TypeError):
        return general
    if not isinstance(total, int | float):
        return general
    return (
        f"Estimated cost: ${total:,.2f} a month for {ANSWERS:,} answers with {model}, of which"
        f" ${SUBSCRIPTION_USD:.0f} are Workers Paid. See {COSTS_PAGE}."
    )


def _address(context: Context) -> str:
    return context.options.address or context.record.address


def _ask(context: Context, path: str, body: object = None) -> dict[str, Any]:
    url = f"{_address(context)}{path}"
    headers = {"content-type": "application/json"}
    if path.startswith("/v1/"):
        headers["authorization"] = f"Bearer {context.admin_token}"
    data = None if body is None else json.dumps(body).encode()
    opener = DIRECT if urlsplit(url).hostname in HERE else _REMOTE
    try:
        with opener.open(urllib.request.Request(url, data, headers), timeout=SECONDS) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        message, code = _reason(error)
        raise NoAnswer(f"status {error.code} {message}".strip(), error.code, code) from error
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(str(getattr(error, "reason", error))) from error
    except (ValueError, RecursionError) as error:
        raise NoAnswer("the answer is no JSON") from error
    if not isinstance(answer, dict):
        raise NoAnswer("the answer is no JSON object")
    return answer


def _reason(error: urllib.error.HTTPError) -> tuple[str, str]:
    """The message and the code of an error in EdgeNeuro's shape."""
    try:
        reason = json.load(error)["error"]
        return str(reason["message"]), str(reason["code"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "", ""


_REMOTE = urllib.request.build_opener(SameOriginRedirects)
CHECK = DeployStep("Check", look_at_check, check)
