"""Where an agent is reached: a public address, a binding of the Worker, or, on a developer's own
machine, a program beside it.

    https://agents.example.com/chat            over the internet
    service:AGENT_HR/chat                      another Worker, by the binding AGENT_HR
    service:AGENT_PAY:http://pay.internal/chat a private service behind a binding of Workers VPC
    http://127.0.0.1:9000/chat                 only with `npm start`
"""

import re
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints

from edgeneuro.domain.agent_auth import AGENT_PREFIX, is_agent_name
from edgeneuro.domain.url import require_public_https

SERVICE = "service:"
_SERVICE = re.compile(
    r"service:(?P<name>[A-Za-z0-9_]+)(?:(?P<path>/[!-~]*)?|:(?P<url>https?://[!-~]+))"
)
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
_LOCAL = re.compile(
    r"http://(?:127\.0\.0\.1|localhost|\[::1\])(?::(?P<port>[0-9]{1,5}))?(?:[/?#].*)?"
)
_TEXT = re.compile(r"[!-\[\]-~]*")


@dataclass(frozen=True)
class AgentAddress:
    """`url` is what is fetched, through the binding `binding` if there is one; `local`: on this
    machine."""

    url: str
    binding: str | None = None
    local: bool = False

    @property
    def target(self) -> str:
        """Who gets what is sent: secrets for one target never go to another."""
        parts = urlsplit(self.url)
        return f"{self.binding or ''} {parts.scheme}://{parts.netloc.lower()}"


def address_of(endpoint: str) -> AgentAddress:
    """Raises ValueError, which says what is wrong."""
    if endpoint.startswith(SERVICE):
        return _service(endpoint)
    if is_local(endpoint):
        return AgentAddress(endpoint, local=True)
    return AgentAddress(require_public_https(endpoint))


def is_local(endpoint: str) -> bool:
    """Whether this is an address of this machine, over HTTP."""
    found = _LOCAL.fullmatch(endpoint)
    if found is None or _TEXT.fullmatch(endpoint) is None:
        return False
    return found["port"] is None or 0 < int(found["port"]) < 65536


def _service(endpoint: str) -> AgentAddress:
    parts = _SERVICE.fullmatch(endpoint)
    if parts is None or "\\" in endpoint:
        raise ValueError(
            "must be service:NAME, service:NAME/path, or service:NAME:http://host/path with the"
            " private host's name"
        )
    name = parts["name"]
    if not is_agent_name(name):
        raise ValueError(
            f"{name[:64]!r} is no binding for agents; these have names that begin with"
            f" {AGENT_PREFIX}, in capital letters, such as {AGENT_PREFIX}HR"
        )
    url = parts["url"]
    if url is None:
        host = name.lower().replace("_", "-")
        return AgentAddress(f"https://{host}.internal{parts['path'] or '/'}", name)
    try:
        split = urlsplit(url)
        port, host = split.port, split.hostname or ""
    except ValueError as error:
        raise ValueError("has a private address that cannot be read") from error
    plain = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0].removesuffix(f":{port}")
    if "@" in plain or _HOST.fullmatch(plain) is None or not host:
        raise ValueError("has a private address that cannot be read; write it as http://host/path")
    return AgentAddress(url, name)


def _checked(endpoint: str) -> str:
    address_of(endpoint)
    return endpoint


AgentEndpoint = Annotated[
    str,
    StringConstraints(max_length=2000),
    AfterValidator(_checked),
    Field(
        json_schema_extra={
            "pattern": r"^(https://|http://(127\.0\.0\.1|localhost)|service:AGENT_)[!-\[\]-~]+$"
        }
    ),
]
