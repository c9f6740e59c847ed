"""Addresses that an operator gives us to call: public https ones only, so that nobody can point the
Worker at what only insiders reach."""

import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, StringConstraints

_INSIDE = ("localhost", ".localhost", ".local", ".internal", ".home.arpa")


def require_public_https(url: str) -> str:
    """Raises ValueError, which names what is wrong with the address."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        _ = parts.port  # raises where it is no port
    except ValueError as error:
        raise ValueError("is not an address; write it as https://host/path") from error
    if parts.scheme != "https" or not host:
        raise ValueError("must begin with https:// and a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user name or password; use a secret")
    if _is_inside(host):
        raise ValueError("must be a public host, not one of a private network")
    return url


def _is_inside(host: str) -> bool:
    if host == _INSIDE[0] or host.endswith(_INSIDE[1:]):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        # No address in its usual form. A name has letters and a dot; "127.1", "0x7f.1" and the
        # other old ways to write an address end in a number.
        last = host.rpartition(".")[2]
        return "." not in host or last.isdecimal() or last.startswith("0x")


PublicUrl = Annotated[
    str,
    StringConstraints(pattern=r"^https://[^\s\\]+$", max_length=2000),
    AfterValidator(require_public_https),
]
