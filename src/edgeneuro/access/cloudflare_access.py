"""Cloudflare Access: checks each claim of the token in Cf-Access-Jwt-Assertion. Only RS256 is
accepted, whatever the token's header says, and only keys that the team publishes."""

import base64
import binascii
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from edgeneuro import bounded_json
from edgeneuro.errors import UnauthenticatedError, UnavailableError
from edgeneuro.settings import Settings
from edgeneuro.web.auth import unauthenticated

_KEYS_SECONDS = 3600.0
_UNKNOWN_KEY_SECONDS = 60.0  # the keys are fetched no more often for an unknown key
_FAILED_SECONDS = 5.0
_LEEWAY_SECONDS = 60.0
_MAX_CHARACTERS = 16_384
_TOKEN = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")

Jwk = dict[str, Any]


class AccessRuntime(Protocol):
    """The parts of the check that need the runtime."""

    async def verify(self, jwk: Jwk, signed: bytes, signature: bytes, /) -> bool:
        """Whether this is the key's RSASSA-PKCS1-v1_5 signature with SHA-256. False for an invalid
        key."""

    async def fetch_json(self, url: str, /) -> Any:
        """Raises OSError if there is no response, ValueError if it is not JSON."""


@dataclass(frozen=True)
class _Token:
    header: dict[str, Any]
    claims: dict[str, Any]
    signed: bytes
    signature: bytes


class CloudflareAccess:
    """`now` gives unix seconds, `monotonic` seconds for the age of the cached keys."""

    def __init__(
        self,
        *,
        team_domain: str,
        audience: str,
        runtime: AccessRuntime,
        now: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._issuer = f"https://{team_domain}"
        self._audience = audience
        self._runtime = runtime
        self._now = now
        self._monotonic = monotonic
        self._keys: dict[str, Jwk] = {}
        self._asked_at = -math.inf
        self._failed_at = -math.inf

    async def email(self, text: str) -> str:
        """The e-mail address in the token. Raises UnauthenticatedError with a code that says what
        is wrong with it, UnavailableError if the team's keys cannot be fetched."""
        token = _read(text)
        if token.header.get("alg") != "RS256" or "crit" in token.header:
            _refuse("algorithm_refused", "is not signed with plain RS256")
        key_id = token.header.get("kid")
        jwk = await self._key(key_id) if isinstance(key_id, str) else None
        if jwk is None:
            _refuse("key_unknown", "is signed with a key that the team does not publish")
        if not await self._runtime.verify(jwk, token.signed, token.signature):
            _refuse("signature_invalid", "has a wrong signature")
        return self._checked(token.claims)

    def _checked(self, claims: dict[str, Any]) -> str:
        audience, email = claims.get("aud"), claims.get("email")
        if claims.get("iss") != self._issuer:
            _refuse("issuer_mismatch", "is of another team than ACCESS_TEAM_DOMAIN")
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            _refuse("audience_mismatch", "is for another application than ACCESS_AUD")
        if not _is_time(claims.get("exp")) or not _is_time(claims.get("nbf", 0)):
            raise _malformed()
        if claims["exp"] + _LEEWAY_SECONDS <= self._now():
            _refuse("token_expired", "has expired")
        if claims.get("nbf", 0) - _LEEWAY_SECONDS > self._now():
            _refuse("token_not_yet_valid", "is not valid yet")
        if not isinstance(email, str) or not email:
            _refuse("email_missing", "names no e-mail address (a service token does not)")
        return email

    async def _key(self, key_id: str) -> Jwk | None:
        age = self._monotonic() - self._asked_at
        known = self._keys.get(key_id)
        if self._keys and age < (_UNKNOWN_KEY_SECONDS if known is None else _KEYS_SECONDS):
            return known
        # Set before the fetch, so that concurrent requests use the cached keys and do not fetch
        # too.
        self._asked_at = self._monotonic()
        try:
            self._keys = await self._fetched()
        except UnavailableError:
            if not self._keys:
                raise
        return self._keys.get(key_id)

    async def _fetched(self) -> dict[str, Jwk]:
        if self._monotonic() - self._failed_at < _FAILED_SECONDS:
            raise _unavailable()
        try:
            return _usable(await self._runtime.fetch_json(f"{self._issuer}/cdn-cgi/access/certs"))
        except (OSError, ValueError) as error:
            self._failed_at = self._monotonic()
            raise _unavailable() from error


def build_access(
    settings: Settings,
    runtime: AccessRuntime,
    *,
    now: Callable[[], float],
    monotonic: Callable[[], float],
) -> CloudflareAccess | None:
    """None if the settings name no team or no application."""
    if not settings.access_team_domain or not settings.access_aud:
        return None
    return CloudflareAccess(
        team_domain=settings.access_team_domain,
        audience=settings.access_aud,
        runtime=runtime,
        now=now,
        monotonic=monotonic,
    )


def _read(text: str) -> _Token:
    parts = _TOKEN.fullmatch(text) if len(text) <= _MAX_CHARACTERS else None
    if parts is None:
        raise _malformed()
    header, claims = _json_object(parts[1]), _json_object(parts[2])
    return _Token(header, claims, f"{parts[1]}.{parts[2]}".encode(), _bytes(parts[3]))


def _json_object(part: str) -> dict[str, Any]:
    try:
        value = bounded_json.loads(_bytes(part))
    except bounded_json.InvalidJsonError as error:
        raise _malformed() from error
    if not isinstance(value, dict):
        raise _malformed()
    return value


def _bytes(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error as error:
        raise _malformed() from error


def _is_time(value: Any) -> bool:
    # Python parses NaN and Infinity too, and a token with NaN would never expire.
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12


def _usable(answer: Any) -> dict[str, Jwk]:
    """The RSA signing keys by their ids. Raises ValueError if there is none."""
    found = answer.get("keys") if isinstance(answer, dict) else None
    keys = {
        jwk["kid"]: {"kty": "RSA", "n": jwk["n"], "e": jwk["e"]}
        for jwk in (found if isinstance(found, list) else [])
        if isinstance(jwk, dict)
        and jwk.get("kty") == "RSA"
        and jwk.get("alg", "RS256") == "RS256"
        and jwk.get("use", "sig") == "sig"
        and all(isinstance(jwk.get(name), str) for name in ("kid", "n", "e"))
    }
    if not keys:
        raise ValueError("the team publishes no RS256 key")
    return keys


def _malformed() -> UnauthenticatedError:
    return unauthenticated(
        "The token in Cf-Access-Jwt-Assertion is damaged. Sign in again.",
        code="access_token_malformed",
    )


def _refuse(code: str, what: str) -> NoReturn:
    raise unauthenticated(
        f"The token in Cf-Access-Jwt-Assertion {what}. Sign in again, or use a key.",
        code=f"access_{code}",
    )


def _unavailable() -> UnavailableError:
    return UnavailableError(
        "Cloudflare Access does not say its keys. Try again in a moment, or use a key.",
        code="access_unavailable",
    )
