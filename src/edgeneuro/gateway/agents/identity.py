"""Who asks, as a token that an agent can check: a JWT (RFC 7519), signed with ES256 by a key whose
public part anybody can read at GET /v1/jwks. An agent that can check a token cannot make one, so
one agent cannot speak for a user to another, as it could with a shared secret."""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from edgeneuro import bounded_json
from edgeneuro.domain.agent_auth import IDENTITY_KEY, PREVIOUS_IDENTITY_KEY
from edgeneuro.domain.caller import CallerIdentity
from edgeneuro.errors import UpstreamNotConfiguredError

VALID_SECONDS = 60
_MAX_KEY_CHARACTERS = 2_000
_COORDINATE_BYTES = 32
Jwk = Mapping[str, Any]


class Signer(Protocol):
    async def sign(self, jwk: Jwk, data: bytes, /) -> bytes:
        """The ES256 signature, r and s of 32 bytes each, by a private key that was checked. Raises
        OSError if the runtime does not take the key."""


@dataclass(frozen=True)
class IdentityKey:
    """`private` is the key as a JWK, `public` what is published."""

    private: dict[str, str]
    public: dict[str, str]

    @property
    def id(self) -> str:
        return self.public["kid"]


class IdentityTokens:
    """`secret(name)` gives the value of a Worker secret, `now` unix seconds."""

    def __init__(
        self,
        signer: Signer,
        *,
        secret: Callable[[str], str | None],
        issuer: str,
        now: Callable[[], float],
    ) -> None:
        self._signer = signer
        self._secret = secret
        self._issuer = issuer
        self._now = now
        self._keys: dict[str, IdentityKey] = {}  # by the secret's text, of which there are two

    async def token(self, agent_id: str, caller: CallerIdentity, *, token_id: str) -> str:
        """Valid for this agent, for a minute. Raises UpstreamNotConfiguredError if there is no
        key."""
        key = self._key(IDENTITY_KEY)
        if key is None:
            raise UpstreamNotConfiguredError(
                f"The secret {IDENTITY_KEY}, by which agents know who asks, is not set. Make a key"
                f" with `npm run identity-key` and set it with `npx wrangler secret put"
                f" {IDENTITY_KEY}`."
            )
        now = int(self._now())
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": agent_id,
            "sub": caller.subject,
            "iat": now,
            "exp": now + VALID_SECONDS,
            "jti": token_id,
        }
        if caller.email is not None:
            claims["email"] = caller.email
        if caller.groups:
            claims["groups"] = list(caller.groups)
        if caller.actor is not None:
            claims["act"] = {"sub": caller.actor}
        header = {"alg": "ES256", "typ": "JWT", "kid": key.id}
        signed = f"{_part(header)}.{_part(claims)}"
        try:
            signature = await self._signer.sign(key.private, signed.encode())
        except OSError as error:
            raise _unusable(IDENTITY_KEY) from error
        return f"{signed}.{_encoded(signature)}"

    def public_keys(self) -> list[dict[str, str]]:
        """The key that signs, and the one before, whose tokens may still be on their way. One that
        cannot be read is left out."""
        found = []
        for name in (IDENTITY_KEY, PREVIOUS_IDENTITY_KEY):
            try:
                key = self._key(name)
            except UpstreamNotConfiguredError:
                continue
            if key is not None:
                found.append(key.public)
        return found

    def _key(self, name: str) -> IdentityKey | None:
        """Raises UpstreamNotConfiguredError for a secret that is no such key."""
        text = (self._secret(name) or "").strip()
        if not text:
            return None
        if text not in self._keys:
            try:
                key = read_key(text)
            except ValueError as error:
                raise _unusable(name) from error
            if len(self._keys) > 1:
                self._keys.clear()
            self._keys[text] = key
        return self._keys[text]


def read_key(text: str) -> IdentityKey:
    """A private key for ES256 as a JWK (RFC 7517). Raises ValueError."""
    if len(text) > _MAX_KEY_CHARACTERS:
        raise ValueError("it is too long")
    try:
        jwk = bounded_json.loads(text)
    except bounded_json.InvalidJsonError as error:
        raise ValueError("it is not JSON") from error
    match jwk:
        case {"kty": "EC", "crv": "P-256", "x": str() as x, "y": str() as y, "d": str() as d}:
            for part in (x, y, d):
                if len(_decoded(part)) != _COORDINATE_BYTES:
                    raise ValueError("a part has not 32 bytes")
            public = {"crv": "P-256", "kty": "EC", "x": x, "y": y}
            # RFC 7638: the same key always has the same id.
            thumbprint = hashlib.sha256(json.dumps(public, separators=(",", ":")).encode())
            about = {"kid": _encoded(thumbprint.digest()), "alg": "ES256", "use": "sig"}
            return IdentityKey({**public, "d": d}, {**public, **about})
    raise ValueError("it is no private key of P-256")


def _unusable(name: str) -> UpstreamNotConfiguredError:
    return UpstreamNotConfiguredError(
        f"The secret {name} is no private key for ES256 (P-256, as a JWK). Make one with `npm run"
        f" identity-key`, and set it with `npx wrangler secret put {name}`."
    )


def _part(value: object) -> str:
    return _encoded(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as error:
        raise ValueError("a part is not base64url") from error
