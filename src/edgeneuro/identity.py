"""Who is asking: the admin token, a key, or a user of Cloudflare Access. Keys and users are kept in
the isolate, so that letting a known caller in costs no read of D1."""

import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar
from urllib.parse import urlsplit

from edgeneuro.domain.key import KnownKey
from edgeneuro.domain.user import SCOPES_OF_ROLE, User, normalise_email
from edgeneuro.errors import (
    NotConfiguredError,
    PermissionDeniedError,
    RateLimitedError,
    UnauthenticatedError,
)
from edgeneuro.settings import MIN_ADMIN_TOKEN, Settings
from edgeneuro.store.database import Database
from edgeneuro.store.keys import find_key
from edgeneuro.store.users import find_user
from edgeneuro.web.auth import (
    ADMIN_TOKEN,
    Credential,
    hash_key,
    same_key,
    scopes,
    sent_key,
    unauthenticated,
)
from edgeneuro.web.cloudflare_access import CloudflareAccess
from edgeneuro.web.request import Request

_KEY = re.compile(r"en_[A-Za-z0-9_-]{20,100}")
_KEPT = 1_000
_ABSENT_KEPT = 256
_SAFE_METHODS = ("GET", "HEAD")
Record = TypeVar("Record")


class RateLimiter(Protocol):
    async def allows(self, key: str, /) -> bool: ...


class Kept(Generic[Record]):
    """Records of one table by what they are looked up by, each true for as long as the access
    revision is the one at which it was read. What was not found is kept too, apart, so that
    guessing cannot push out what is there."""

    def __init__(
        self,
        revision: Callable[[], Awaitable[int]],
        read: Callable[[str], Awaitable[tuple[Record | None, int]]],
    ) -> None:
        self._revision = revision
        self._read = read
        self.forget()

    def forget(self) -> None:
        """After a write of our own. A read that is under way puts its record into what is thrown
        away here, so that it cannot bring back what the write has ended."""
        self._present: OrderedDict[str, tuple[Record | None, int]] = OrderedDict()
        self._absent: OrderedDict[str, tuple[Record | None, int]] = OrderedDict()

    async def get(
        self, word: str, before_read: Callable[[], Awaitable[None]] | None = None
    ) -> Record | None:
        revision = await self._revision()
        present, absent = self._present, self._absent
        for kept in (present, absent):
            if word in kept and kept[word][1] >= revision:
                kept.move_to_end(word)
                return kept[word][0]
        if before_read is not None:
            await before_read()
        record, read_at = await self._read(word)
        kept, size = (absent, _ABSENT_KEPT) if record is None else (present, _KEPT)
        present.pop(word, None)
        kept[word] = (record, read_at)
        if len(kept) > size:
            kept.popitem(last=False)
        return record


class _Guesses:
    """Counts a request whose credential is not known to this isolate, once, by the client's
    address."""

    def __init__(self, limiter: RateLimiter | None, request: Request) -> None:
        self._limiter = limiter
        self._address = request.header("cf-connecting-ip") or ""
        self._counted = False

    async def count(self) -> None:
        """Raises RateLimitedError beyond the limit. Comes before a look-up in D1."""
        if self._counted or self._limiter is None:
            return
        self._counted = True
        if not await self._limiter.allows(f"credentials {self._address}"):
            raise RateLimitedError(
                "Too many unknown credentials came from this address. Wait a minute.",
                headers={"retry-after": "60"},
            )


class Identity:
    """`access_revision` is the one that this isolate knows of, seconds old at most; `now` gives
    unix seconds. `access` is None where Cloudflare Access is not configured."""

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
        self._keys: Kept[KnownKey] = Kept(access_revision, lambda key_hash: find_key(db, key_hash))
        self._users: Kept[User] = Kept(access_revision, lambda email: find_user(db, email))

    async def authenticate(self, request: Request) -> Credential:
        """Raises UnauthenticatedError for everybody who is not known, and RateLimitedError if too
        many credentials of one address were refused. A key and an Authorization header win over
        the token of Cloudflare Access."""
        guesses = _Guesses(self._rate_limiter, request)
        key = sent_key(request.header)
        token = request.header("cf-access-jwt-assertion")
        try:
            return await self._known(request, key, token, guesses)
        except UnauthenticatedError:
            if key is not None or token is not None:
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
        """After keys or users were changed here: it holds at once, for requests under way too."""
        self._keys.forget()
        self._users.forget()

    async def _key(self, key: str, guesses: "_Guesses") -> Credential:
        known = await self._keys.get(hash_key(key), guesses.count)
        if known is None:
            raise _invalid_key()
        if known.revoked:
            raise unauthenticated("This key was revoked. Use another one.", code="key_revoked")
        if known.expires_at_ms is not None and known.expires_at_ms <= self._now() * 1000:
            raise unauthenticated("This key has expired. Use another one.", code="key_expired")
        granted = scopes(known.scopes)
        if known.role is not None:
            if not known.user_enabled:
                raise _disabled("The user of this key")
            granted &= scopes(SCOPES_OF_ROLE[known.role])
        return Credential(known.id, granted, known.limits, known.permissions)

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
            raise _disabled("This user")
        return Credential(user.id, scopes(SCOPES_OF_ROLE[user.role]), email=user.email)

    def _require_same_site(self, request: Request) -> None:
        """Access lets a browser in by a cookie, which goes along with what other sites send."""
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


def _disabled(who: str) -> Exception:
    return unauthenticated(
        f"{who} is disabled. Ask an administrator to enable it.", code="user_disabled"
    )
