"""Who is asking, and may they: keys are compared by their hashes in constant time."""

import hashlib
import hmac
from dataclasses import dataclass
from enum import StrEnum

from edgeneuro.errors import NotConfiguredError, PermissionDeniedError, UnauthenticatedError
from edgeneuro.settings import Settings


class Access(StrEnum):
    """What a route asks of the key: nothing, or a scope. The scope `admin` includes the others."""

    PUBLIC = "public"
    ROUTE = "route"
    LABEL = "label"
    ADMIN = "admin"


@dataclass(frozen=True)
class Credential:
    """`key_id` names the key in logs; it is never the key itself."""

    key_id: str
    scopes: frozenset[Access]


ANONYMOUS = Credential("anonymous", frozenset({Access.PUBLIC}))
_ADMIN_TOKEN = Credential("admin_token", frozenset(Access))


def authenticate(settings: Settings, authorization: str | None) -> Credential:
    """Raises UnauthenticatedError without a right key."""
    if not settings.admin_token:
        raise NotConfiguredError(
            "No key can be checked: the secret ADMIN_TOKEN is not set. Set it with"
            " `npx wrangler secret put ADMIN_TOKEN`."
        )
    scheme, _, key = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise _unauthenticated("This call needs a key: send `Authorization: Bearer <key>`.")
    if not hmac.compare_digest(_digest(key.strip()), _digest(settings.admin_token)):
        raise _unauthenticated("This key is not valid. Check it for missing or extra characters.")
    return _ADMIN_TOKEN


def authorize(credential: Credential, access: Access) -> None:
    """Raises PermissionDeniedError where the key lacks the scope."""
    if access not in credential.scopes:
        raise PermissionDeniedError(
            f"This key lacks the scope {access.value!r}. Use one that has it."
        )


def _unauthenticated(message: str) -> UnauthenticatedError:
    return UnauthenticatedError(message, headers={"www-authenticate": "Bearer"})


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
