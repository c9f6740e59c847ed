"""What an agent's endpoint may be, and what it may be sent; and the keys by which agents check who
asks."""

from pydantic import BaseModel

from edgeneuro.call import Call
from edgeneuro.domain.agent import Agent
from edgeneuro.domain.agent_auth import HOSTS_VAR, may_send_secret
from edgeneuro.domain.agent_endpoint import address_of
from edgeneuro.errors import InvalidRequestError
from edgeneuro.settings import Settings
from edgeneuro.web.response import Reply

_MAX_AGE_SECONDS = 300


class PublicKey(BaseModel):
    """A key as RFC 7517 has it."""

    kty: str
    crv: str
    x: str
    y: str
    kid: str
    alg: str
    use: str


class PublicKeys(BaseModel):
    keys: list[PublicKey]


async def show_public_keys(call: Call) -> Reply[PublicKeys]:
    """The public keys by which agents check the tokens that say who asks, as a JSON Web Key Set
    (RFC 7517)."""
    found = call.services.endpoints.identity.public_keys()
    keys = PublicKeys(keys=[PublicKey.model_validate(each) for each in found])
    return Reply(keys, {"cache-control": f"public, max-age={_MAX_AGE_SECONDS}"})


def check_endpoint(settings: Settings, agent: Agent) -> None:
    """Whether endpoint, protocol and `auth` go together. Raises InvalidRequestError."""
    if agent.endpoint is None:
        if agent.protocol != "openai":
            raise InvalidRequestError(
                f"endpoint: an agent with the protocol {agent.protocol!r} needs one. Give its"
                " address, or set `protocol` to 'openai'.",
                param="endpoint",
            )
        if agent.auth is not None:
            raise InvalidRequestError(
                "auth: an agent without an endpoint is called nowhere. Give its `endpoint`, or"
                " leave `auth` out.",
                param="auth",
            )
        return
    try:
        address = address_of(agent.endpoint)
    except ValueError as error:  # the row may be older than the rules
        raise InvalidRequestError(f"endpoint: {error}.", param="endpoint") from error
    if address.local and not settings.local_agents:
        raise InvalidRequestError(
            "endpoint: must begin with https:// and a public host, or with service: and a binding."
            " Only `npm start` may call programs on its own machine over http.",
            param="endpoint",
        )
    if agent.protocol == "handoff":
        _check_handoff(agent, bound=address.binding is not None)
    elif agent.auth is not None and agent.auth.secrets:
        inside = address.binding is not None or address.local
        if not inside and not may_send_secret(address.url, settings.agent_hosts):
            raise InvalidRequestError(
                f"endpoint: a secret goes only to hosts that {HOSTS_VAR} in wrangler.toml names."
                " Add this host there, or leave the secrets of `auth` out.",
                code="secret_host_not_allowed",
                param="endpoint",
            )


def _check_handoff(agent: Agent, *, bound: bool) -> None:
    """The client calls the agent itself."""
    if bound:
        raise InvalidRequestError(
            "endpoint: with the protocol 'handoff' the client calls the agent, and it cannot reach"
            " a binding of the Worker. Give an https address, or another `protocol`.",
            param="endpoint",
        )
    if agent.auth is not None:
        raise InvalidRequestError(
            "auth: with the protocol 'handoff' the client calls the agent, and gets no secret."
            " Leave `auth` out, or send null.",
            param="auth",
        )
