"""What an agent's endpoint is sent so that it knows us and the caller: secrets by their names, and
who asks, as a signed token. Checked at every call: a row may be older than the rules, or edited in
the database."""

from collections.abc import Callable, Collection

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.agent_auth import (
    AGENT_PREFIX,
    HOSTS_VAR,
    AgentAuth,
    is_agent_name,
    may_send_secret,
)
from edgeneuro.domain.agent_endpoint import AgentAddress
from edgeneuro.errors import UpstreamNotConfiguredError

IDENTITY_HEADER = "x-edgeneuro-identity"


def secret_headers(
    agent: Agent,
    address: AgentAddress,
    *,
    secret: Callable[[str], str | None],
    hosts: Collection[str],
) -> dict[str, str]:
    """Raises UpstreamNotConfiguredError where a secret is not set, or may not go there."""
    auth = agent.auth
    if auth is None or not auth.secrets:
        return {}
    if not (address.binding or address.local or may_send_secret(address.url, hosts)):
        raise UpstreamNotConfiguredError(
            f"The agent {agent.id!r} would get a secret at a host that is not in {HOSTS_VAR} of"
            " wrangler.toml. Add the host of its endpoint there."
        )
    values = {name: _value(agent, name, secret) for name in auth.secrets}
    return _headers(auth, values)


def _headers(auth: AgentAuth, values: dict[str, str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    if auth.bearer is not None:
        headers["authorization"] = f"Bearer {values[auth.bearer]}"
    if auth.api_key is not None:
        headers[auth.api_key.header] = values[auth.api_key.secret]
    if auth.access is not None:
        headers["cf-access-client-id"] = values[auth.access.client_id]
        headers["cf-access-client-secret"] = values[auth.access.client_secret]
    return headers


def _value(agent: Agent, name: str, secret: Callable[[str], str | None]) -> str:
    if not is_agent_name(name):
        raise UpstreamNotConfiguredError(
            f"The agent {agent.id!r} names the secret {name[:64]}, which is not for agents: their"
            f" secrets have names that begin with {AGENT_PREFIX}."
        )
    value = (secret(name) or "").strip()
    if not value:
        raise UpstreamNotConfiguredError(
            f"The secret {name} of the agent {agent.id!r} is not set; run"
            f" `npx wrangler secret put {name}`."
        )
    if not (value.isascii() and value.isprintable()):  # a header's value could not hold it
        raise UpstreamNotConfiguredError(
            f"The secret {name} holds characters that a header cannot have; set it again with"
            f" `npx wrangler secret put {name}`."
        )
    return value
