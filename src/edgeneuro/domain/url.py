"""Addresses that an operator gives us to call: public https ones only, so that no one can point the
Worker at what only insiders reach. What could be read in two ways is refused, not normalised: what
`fetch` would make of it is then what was checked."""

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

_PARTS = re.compile(
    r"https://(?P<host>\[[0-9a-fA-F:.]*\]|[^/?#:\[\]]*)(?::(?P<port>[0-9]*))?(?P<rest>[/?#][!-~]*)?"
)
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# The last label has letters alone, or is one in other letters; anything else may be read as a
# number, and so as an address.
_NAME = re.compile(rf"(?:{_LABEL}\.)+(?:[a-z]{{2,63}}|xn--{_LABEL})")
_INSIDE = frozenset(
    "arpa corp home internal intranet invalid lan local localdomain localhost onion private"
    " test".split()
)
# Services whose names point to whatever address they hold, or to the caller's own machine.
_POINTING_INSIDE = (
    "backname.io",
    "lacolhost.com",
    "local-ip.co",
    "local-ip.sh",
    "localhost.direct",
    "localtest.me",
    "lvh.me",
    "metadata.goog",
    "nip.io",
    "sslip.io",
    "traefik.me",
    "vcap.me",
    "xip.io",
)
_HELD_ADDRESS = re.compile(
    r"(?<![0-9])(?=([0-9]{1,3})[.-]([0-9]{1,3})[.-]([0-9]{1,3})[.-]([0-9]{1,3})(?![0-9]))"
)
_UNICAST = ipaddress.ip_network("2000::/3")
_6TO4 = ipaddress.ip_network("2002::/16")  # an IPv4 address, also a private one, in IPv6


def require_public_https(url: str) -> str:
    """Raises ValueError, which names what is wrong with the address."""
    if re.fullmatch(r"[!-\[\]-~]*", url) is None:
        raise ValueError(
            "must be ASCII without spaces and backslashes; write other letters of a host as xn--…"
        )
    if not url.startswith("https://"):
        raise ValueError("must begin with https:// and a host")
    if "@" in re.split(r"[/?#]", url.removeprefix("https://"), maxsplit=1)[0]:
        raise ValueError("must not hold a user name or password; use a secret")
    parts = _PARTS.fullmatch(url)
    if parts is None or not _is_port(parts["port"]):
        raise ValueError("is not an address; write it as https://host/path")
    host = parts["host"].lower()
    if not (_is_public_address(host) or _is_public_name(host)):
        raise ValueError("must be a public host: a full name, or an address of no private network")
    return url


def _is_port(port: str | None) -> bool:
    return port is None or (len(port) <= 5 and port.isdecimal() and 0 < int(port) < 65536)


def _is_public_address(host: str) -> bool:
    try:
        if host.startswith("["):
            v6 = ipaddress.IPv6Address(host[1:-1])
            return v6.is_global and v6 in _UNICAST and v6 not in _6TO4
        v4 = ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return v4.is_global and not v4.is_multicast


def _is_public_name(host: str) -> bool:
    if len(host) > 253 or _NAME.fullmatch(host) is None:
        return False
    if host.rpartition(".")[2] in _INSIDE:
        return False
    if any(f".{host}".endswith(f".{name}") for name in _POINTING_INSIDE):
        return False
    return all(_is_outside(held.groups()) for held in _HELD_ADDRESS.finditer(host))


def _is_outside(numbers: tuple[str, ...]) -> bool:
    """What a name holds of an address, "10.0.0.1" or "10-0-0-1", is no private one."""
    address = ".".join(str(int(number)) for number in numbers)
    try:
        return ipaddress.IPv4Address(address).is_global
    except ValueError:  # some other numbers
        return True


PublicUrl = Annotated[
    str,
    StringConstraints(max_length=2000),
    AfterValidator(require_public_https),
    Field(json_schema_extra={"pattern": r"^https://[!-\[\]-~]+$"}),
]
