"""The platform's part of signing who asks, on CPython, and an agent that checks it."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256

_ES256 = ec.ECDSA(SHA256())


def number(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


class CryptographySigner:
    async def sign(self, jwk: Mapping[str, Any], data: bytes) -> bytes:
        key = ec.derive_private_key(number(jwk["d"]), ec.SECP256R1())
        r, s = utils.decode_dss_signature(key.sign(data, _ES256))
        return r.to_bytes(32) + s.to_bytes(32)


def checked_claims(token: str, keys: list[dict[str, str]]) -> dict[str, Any]:
    """The claims of a token that one of these published keys has signed. Raises InvalidSignature,
    or StopIteration if none has its id."""
    signed, _, signature = token.rpartition(".")
    header, claims = (
        json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        for part in signed.split(".")
    )
    assert header["alg"] == "ES256"
    jwk = next(key for key in keys if key["kid"] == header["kid"])
    public = ec.EllipticCurvePublicNumbers(number(jwk["x"]), number(jwk["y"]), ec.SECP256R1())
    raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    parts = (int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    public.public_key().verify(utils.encode_dss_signature(*parts), signed.encode(), _ES256)
    found: dict[str, Any] = claims
    return found
