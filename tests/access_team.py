"""A Cloudflare Access team of our own: keys, tokens, and the platform's part of checking them."""

import base64
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

AUDIENCE = "f" * 64
Part = dict[str, Any]


def encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def part(value: Any) -> str:
    return encoded(json.dumps(value).encode())


def number(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


class TeamKey:
    def __init__(self, kid: str) -> None:
        self.kid = kid
        self._private = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def jwk(self) -> Part:
        """As the certs endpoint says it."""
        public = self._private.public_key().public_numbers()
        size = (public.n.bit_length() + 7) // 8
        return {
            "kid": self.kid,
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "e": encoded(public.e.to_bytes(3)),
            "n": encoded(public.n.to_bytes(size)),
        }

    def sign(self, signed: bytes) -> bytes:
        return self._private.sign(signed, padding.PKCS1v15(), SHA256())

    def token(self, claims: Part, *, header: Part | None = None) -> str:
        signed = f"{part(header or {'alg': 'RS256', 'kid': self.kid, 'typ': 'JWT'})}.{part(claims)}"
        return f"{signed}.{encoded(self.sign(signed.encode()))}"


class CryptographyRuntime:
    """AccessRuntime on CPython. `published` is what the certs endpoint says, None while it is
    away; `fetched` are the addresses that were asked."""

    def __init__(self, *keys: TeamKey) -> None:
        self.published: Any = {"keys": [key.jwk() for key in keys]}
        self.fetched: list[str] = []

    async def verify(self, jwk: Part, signed: bytes, signature: bytes) -> bool:
        public = rsa.RSAPublicNumbers(number(jwk["e"]), number(jwk["n"])).public_key()
        try:
            public.verify(signature, signed, padding.PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True

    async def fetch_json(self, url: str) -> Any:
        self.fetched.append(url)
        if self.published is None:
            raise OSError("connection refused")
        return self.published
