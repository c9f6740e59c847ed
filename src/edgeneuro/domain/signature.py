"""What an agent knows us by: an HMAC over the time, its own id and the bytes that it gets, so that
nothing signed for one agent, or long ago, holds for another."""

import hmac

SIGNING_SECRET = "AGENT_SIGNING_SECRET"  # the Worker secret
SIGNATURE_HEADER = "x-edgeneuro-signature"
VALID_SECONDS = 300  # how old a signature may be; the README tells receivers so


def sign(secret: str, *, agent_id: str, body: bytes, now: float) -> str:
    seconds = int(now)
    signed = f"{seconds}.{agent_id}.".encode() + body
    return f"t={seconds},v1={hmac.digest(secret.encode(), signed, 'sha256').hex()}"
