"""`npm run identity-key`: prints a new private key, with which EdgeNeuro signs who asks, as a JWK
for the secret AGENT_IDENTITY_KEY. Nothing is stored.

npm --silent run identity-key | npx wrangler secret put AGENT_IDENTITY_KEY
"""

import base64
import json
import secrets

# The curve P-256 (FIPS 186-4, D.1.2.3): y² = x³ - 3x + b over the field of P elements.
P = 2**256 - 2**224 + 2**192 + 2**96 - 1
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
BASE = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
Point = tuple[int, int] | None


def main() -> None:
    print(new_identity_key())


def new_identity_key() -> str:
    """The Python of the system has no package for this, and one number is enough."""
    private = 1 + secrets.randbelow(ORDER - 1)
    x, y = public_point(private)
    parts = {"x": x, "y": y, "d": private}
    return json.dumps(
        {"kty": "EC", "crv": "P-256", **{name: _encoded(part) for name, part in parts.items()}}
    )


def public_point(private: int) -> tuple[int, int]:
    """The base point, `private` times."""
    found: Point = None
    power: Point = BASE
    while private:
        if private & 1:
            found = _sum(found, power)
        power = _sum(power, power)
        private >>= 1
    assert found is not None
    return found


def _sum(one: Point, other: Point) -> Point:
    if one is None or other is None:
        return one or other
    (x1, y1), (x2, y2) = one, other
    if x1 == x2 and (y1 + y2) % P == 0:
        return None
    if one == other:
        slope = (3 * x1 * x1 - 3) * pow(2 * y1, -1, P) % P
    else:
        slope = (y2 - y1) * pow(x2 - x1, -1, P) % P
    x = (slope * slope - x1 - x2) % P
    return x, (slope * (x1 - x) - y1) % P


def _encoded(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32)).rstrip(b"=").decode()


if __name__ == "__main__":
    main()
