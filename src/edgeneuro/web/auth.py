"""What a caller may do: the scopes of keys and roles, and the scope that a route requires."""

import hashlib
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from edgeneuro.domain.key import KeyLimits
from edgeneuro.domain.permissions import UNRESTRICTED, Permissions
from edgeneuro.errors import PermissionDeniedError, UnauthenticatedError

KEY_HEADERS = ("api-key", "x-api-key")


class Access(StrEnum):
    """What a route requires of its caller: nothing, any key, or a scope."""

    PUBLIC = "public"
    ANY = "any"
    READ = "read"
    ROUTE = "route"
    LABEL = "label"
    ADMIN = "admin"


_INCLUDED = {Access.LABEL: {Access.READ}, Access.ADMIN: set(Access)}


@dataclass(frozen=True)
class CallingUser:
    id: str
    email: str | None


@dataclass(frozen=True)
class Credential:
    """`key_id` names the caller in logs, sums, labels and at AI Gateway: the id of the key or of
    the user, never the key itself or an e-mail address. `limits` are the key's limits, None if it
    has none; `permissions` is what it may use; `email` is the address of a user of Cloudflare
    Access. `user` is that user, or the one whom the key belongs to; `groups` are the names of the
    teams."""

    key_id: str
    scopes: frozenset[Access]
    limits: KeyLimits | None = None
    permissions: Permissions = UNRESTRICTED
    email: str | None = None
    user: CallingUser | None = None
    groups: tuple[str, ...] = ()

    @property
    def actor(self) -> str:
        """Who made a change: the audit names a person by e-mail address."""
        return self.email or self.key_id


ANONYMOUS = Credential("anonymous", frozenset({Access.PUBLIC}))
ADMIN_TOKEN = Credential("admin_token", frozenset(Access))


def scopes(names: Iterable[str]) -> frozenset[Access]:
    """The scopes with these names, and all scopes that they include."""
    granted = {Access.PUBLIC, Access.ANY}
    for access in map(Access, names):
        granted |= {access} | _INCLUDED.get(access, set())
    return frozenset(granted)


def authorize_explain(credential: Credential, wanted: bool, *, param: str) -> None:
    """An explanation shows the prompt with all agents, so it needs the scope `read`. Raises
    PermissionDeniedError."""
    if wanted and Access.READ not in credential.scopes:
        raise PermissionDeniedError(
            f"{param}: an explanation shows the prompt, for which the key needs the scope 'read'."
            " Leave it out, or use a key that has the scope.",
            param=param,
        )


def authorize(credential: Credential, access: Access) -> None:
    """Raises PermissionDeniedError if the scope is missing."""
    if access not in credential.scopes:
        raise PermissionDeniedError(
            f"This call needs the scope {access.value!r}, which the key or the user's role does not"
            " include. Use one that does."
        )


def sent_key(header: Callable[[str], str | None]) -> str | None:
    """The key of a request: a bearer token, or in one of the headers that Azure's and Anthropic's
    clients send."""
    key = bearer_key(header("authorization"))
    for name in KEY_HEADERS:
        key = key or (header(name) or "").strip() or None
    return key


def is_operator(credential: Credential) -> bool:
    """Whether this caller may see in errors how the installation is configured."""
    return Access.READ in credential.scopes


def bearer_key(authorization: str | None) -> str | None:
    """The key of an Authorization header, if it holds one."""
    scheme, _, key = (authorization or "").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


def hash_key(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def same_key(one: str, other: str) -> bool:
    """Whether two keys are equal, compared in constant time."""
    return hmac.compare_digest(hash_key(one), hash_key(other))


def cron_of(event: str, token: str) -> str:
    """The cron expression of a scheduled event. If a token is configured, the event's text must end
    with it: with `wrangler dev`, everyone who reaches its port can fire a cron. Raises
    UnauthenticatedError."""
    if not token:
        return event
    cron, _, given = event.rpartition(" ")
    if not same_key(given, token):
        raise UnauthenticatedError("This cron was not fired by the installation itself.")
    return cron


def unauthenticated(
    message: str, *, code: str | None = None, known_id: str = ""
) -> UnauthenticatedError:
    """`known_id` is that of the key or the user, if it is known and refused all the same."""
    headers = {"www-authenticate": "Bearer"}
    return UnauthenticatedError(message, code=code, headers=headers, known_id=known_id)
