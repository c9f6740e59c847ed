"""Authentication of a caller: the admin token, a key, or a user of Cloudflare Access. Keys and
users are cached in the isolate, so that a known caller costs no read of D1."""

import re
from collections.abc import Awaitable, Callable
from typing import Protocol
from urllib.parse import urlsplit

from edgeneuro.access.cloudflare_access import CloudflareAccess
from edgeneuro.domain.key import KnownKey
from edgeneuro.domain.user import SCOPES_OF_ROLE, KnownUser, normalise_email
from edgeneuro.errors import (
    NotConfiguredError,
    PermissionDeniedError,
    RateLimitedError,
    UnauthenticatedError,
)
from edgeneuro.isolate.cache import RevisionCache
from edgeneuro.settings import MIN_ADMIN_TOKEN, Settings
from edgeneuro.store.database import Database
from edgeneuro.store.keys import find_key
from edgeneuro.store.users import find_user
from edgeneuro.web.auth import (
    ADMIN_TOKEN,
    CallingUser,
    Credential,
    hash_key,
    same_key,
    scopes,
    sent_key,
    unauthenticated,
)
from edgeneuro.web.request import Request

_KEY = re.compile(r"en_[A-Za-z0-9_-]{20,100}")
_SAFE_METHODS = ("GET", "HEAD")


class RateLimiter(Protocol):
    async def allows(self, key: str, /) -> bool: ...


class _Guesses:
    """Counts a request whose credential this isolate does not know, once, by the client's
    address."""

    def __init__(self, limiter: RateLimiter | None, request: Request) -> None:
        self._limiter = limiter
        self._address = request.header("cf-connecting-ip") or ""
        self._counted = False

    async def count(self) -> None:
        """Raises RateLimitedError beyond the limit. Called before a look-up in D1."""
        if self._counted or self._limiter is None:
            return
        self._counted = True
        if not await self._limiter.allows(f"credentials {self._address}"):
            raise RateLimitedError(
                "Too many unknown credentials came from this address. Wait a minute.",
                headers={"retry-after": "60"},
            )


class Identity:
    """`access_revision` is the one that this isolate knows, at most seconds old; `now` gives unix
    seconds. `access` is None if Cloudflare Access is not configured."""

    def __init__(
        self,
        settings: Settings,
        db: Database,
        *,
        access_revision: Callable[[], Awaitable[int]],
        access: CloudflareAccess | None,
        rate_limiter: RateLimiter | None,
        now: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._access = access
        self._rate_limiter = rate_limiter
        self._now = now
        self._keys: RevisionCache[KnownKey] = RevisionCache(
            access_revision, lambda key_hash: find_key(db, key_hash)
        )
        self._users: RevisionCache[KnownUser] = RevisionCache(
            access_revision, lambda email: find_user(db, email)
        )

    async def authenticate(self, request: Request) -> Credential:
        """Raises UnauthenticatedError for an unknown caller, and RateLimitedError if too many
        credentials from one address were refused. A key or an Authorization header takes precedence
        over the token of Cloudflare Access."""
        guesses = _Guesses(self._rate_limiter, request)
        key = sent_key(request.header)
        token = request.header("cf-access-jwt-assertion")
        try:
            return await self._known(request, key, token, guesses)
        except UnauthenticatedError as error:
            error.sent = key is not None or token is not None
            if error.sent:
                await guesses.count()
            raise

    async def _known(
        self, request: Request, key: str | None, token: str | None, guesses: "_Guesses"
    ) -> Credential:
        has_key = key is not None or request.header("authorization") is not None
        if not has_key and token is not None and self._access is not None:
            self._require_same_site(request)
            return await self._user(await self._access.email(token))
        admin_token = self._settings.admin_token
        if key is not None and admin_token and same_key(key, admin_token):
            if len(admin_token) < MIN_ADMIN_TOKEN:
                raise NotConfiguredError(
                    f"ADMIN_TOKEN has {len(admin_token)} characters and is not accepted; at least"
                    f" {MIN_ADMIN_TOKEN} are required. Set a longer one with"
                    " `npx wrangler secret put ADMIN_TOKEN`."
                )
            return ADMIN_TOKEN
        if key is None or not _KEY.fullmatch(key):
            if not admin_token and self._access is None:
                raise NotConfiguredError(
                    "No key can be checked: the secret ADMIN_TOKEN is not set. Set it with"
                    " `npx wrangler secret put ADMIN_TOKEN`."
                )
            if key is None:
                raise unauthenticated("This call needs a key: send `Authorization: Bearer <key>`.")
            raise _invalid_key()
        return await self._key(key, guesses)

    def forget(self) -> None:
        """After a change of keys, users or teams: it takes effect at once, also for running
        requests."""
        self._keys.clear()
        self._users.clear()

    async def _key(self, key: str, guesses: "_Guesses") -> Credential:
        known = await self._keys.get(hash_key(key), guesses.count)
        if known is None:
            raise _invalid_key()
        if known.revoked:
            raise unauthenticated(
                "This key was revoked. Use another one.", code="key_revoked", known_id=known.id
            )
        if known.expires_at_ms is not None and known.expires_at_ms <= self._now() * 1000:
            raise unauthenticated(
                "This key has expired. Use another one.", code="key_expired", known_id=known.id
            )
        granted = scopes(known.scopes)
        if known.role is not None:
            if not known.user_enabled:
                raise _disabled("The user of this key", known.id)
            granted &= scopes(SCOPES_OF_ROLE[known.role])
        user = None if known.user_id is None else CallingUser(known.user_id, known.email)
        return Credential(
            known.id, granted, known.limits, known.permissions, user=user, groups=known.groups
        )

    async def _user(self, email: str) -> Credential:
        try:
            user = await self._users.get(normalise_email(email))
        except ValueError:
            user = None
        if user is None:
            raise unauthenticated(
                "Cloudflare Access knows you, but there is no such user here. Ask an administrator"
                " to create one with POST /v1/users.",
                code="unknown_user",
            )
        if not user.enabled:
            raise _disabled("This user", user.id)
        return Credential(
            user.id,
            scopes(SCOPES_OF_ROLE[user.role]),
            permissions=user.permissions,
            email=user.email,
            user=CallingUser(user.id, user.email),
            groups=user.groups,
        )

    def _require_same_site(self, request: Request) -> None:
        """Access authenticates a browser by a cookie, which the browser also sends with requests
        from other sites."""
        origin = request.header("origin")
        if request.method in _SAFE_METHODS or origin is None:
            return
        if urlsplit(origin).netloc == request.header("host"):
            return
        if origin not in self._settings.allowed_origins:
            raise PermissionDeniedError(
                "A page of another site may not do this in your name. Put its origin into"
                " ALLOWED_ORIGINS, or use a key.",
                code="cross_site_request",
            )


def _invalid_key() -> Exception:
    return unauthenticated("This key is not valid. Check it for missing or extra characters.")


def _disabled(who: str, known_id: str) -> Exception:
    return unauthenticated(
        f"{who} is disabled. Ask an administrator to enable it.",
        code="user_disabled",
        known_id=known_id,
    )
