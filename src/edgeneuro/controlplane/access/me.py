"""Who the caller is: what a page or a program needs to know of itself before it begins."""

from typing import Literal

from pydantic import BaseModel

from edgeneuro import __version__
from edgeneuro.call import Call
from edgeneuro.domain.user import Scope
from edgeneuro.web.auth import Access

_SCOPES: tuple[Scope, ...] = ("route", "read", "label", "admin")


class Caller(BaseModel):
    """`id` is the id of the key or user, as in the logs; `email` is that of a user of Cloudflare
    Access, as in the audit log, null for a key. `scopes` are all scopes, including implied ones.
    `version` is EdgeNeuro's."""

    object: Literal["caller"] = "caller"
    id: str
    email: str | None = None
    scopes: list[Scope]
    version: str = __version__


async def show_caller(call: Call) -> Caller:
    """Read who the caller is, by a key or through Cloudflare Access, and its scopes."""
    granted = call.credential.scopes
    return Caller(
        id=call.credential.key_id,
        email=call.credential.email,
        scopes=[name for name in _SCOPES if Access(name) in granted],
    )
