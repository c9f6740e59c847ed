"""A handoff: the client continues with the agent itself. It gets a signed message to send there, so
that the agent knows that EdgeNeuro sent the client."""

import hmac
import json
from typing import Literal

from pydantic import BaseModel

from edgeneuro.domain.agent import Agent

SIGNING_SECRET = "AGENT_SIGNING_SECRET"  # the Worker secret
SIGNATURE_HEADER = "x-edgeneuro-signature"
VALID_SECONDS = 300  # how old a signature may be; docs/agents.md gives receivers the same number


def sign(secret: str, *, agent_id: str, body: bytes, now: float) -> str:
    """An HMAC over the time, the agent's id and the bytes that the agent gets, so that a signature
    for another agent, or an old one, is not valid."""
    seconds = int(now)
    signed = f"{seconds}.{agent_id}.".encode() + body
    return f"t={seconds},v1={hmac.digest(secret.encode(), signed, 'sha256').hex()}"


class HandoffAgent(BaseModel):
    id: str
    name: str
    description: str
    url: str


class HandoffPart(BaseModel):
    kind: Literal["text"] = "text"
    text: str


class HandoffMessage(BaseModel):
    """A message of A2A, which `message/send` takes as it is."""

    kind: Literal["message"] = "message"
    role: Literal["user"] = "user"
    messageId: str  # A2A's spelling
    parts: list[HandoffPart]


class Handoff(BaseModel):
    """`signature` is over the message as canonical JSON (RFC 8785), since the client's own JSON may
    be written otherwise; `expires_at`, in unix seconds, is when the agent stops taking it."""

    type: Literal["a2a"] = "a2a"
    agent: HandoffAgent
    message: HandoffMessage
    signature: str
    expires_at: int


def make_handoff(
    agent: Agent, text: str, *, url: str, secret: str, message_id: str, now: float
) -> Handoff:
    message = HandoffMessage(messageId=message_id, parts=[HandoffPart(text=text)])
    return Handoff(
        agent=HandoffAgent(id=agent.id, name=agent.name, description=agent.description, url=url),
        message=message,
        signature=sign(secret, agent_id=agent.id, body=_canonical(message), now=now),
        expires_at=int(now) + VALID_SECONDS,
    )


def handoff_text(handoff: Handoff) -> str:
    """What the assistant says, for clients that read nothing else."""
    return f"Handed off to {handoff.agent.name}: {handoff.agent.url}"


def _canonical(message: HandoffMessage) -> bytes:
    # With texts alone, and names in ASCII, this is RFC 8785.
    return json.dumps(
        message.model_dump(), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()
