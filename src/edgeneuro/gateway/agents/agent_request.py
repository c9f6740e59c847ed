"""What an agent's endpoint is sent: a body that it can know to be ours, and headers that we made
ourselves. None of the caller's headers gets this far, so none can be forwarded."""

import json
import re
from dataclasses import dataclass
from typing import Any

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.handoff import SIGNATURE_HEADER, sign
from edgeneuro.domain.url import require_public_https
from edgeneuro.errors import UpstreamNotConfiguredError
from edgeneuro.gateway.seam import ModelRequest

_OF_METADATA = {"decision_id": "x-edgeneuro-decision-id", "request_id": "x-request-id"}
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


@dataclass(frozen=True)
class AgentRequest:
    url: str
    headers: dict[str, str]
    body: bytes


def endpoint_of(agent: Agent) -> str:
    """Checked again: the row may be older than today's rules, or written past the control plane."""
    try:
        return require_public_https(agent.endpoint or "")
    except ValueError as error:
        raise UpstreamNotConfiguredError(
            f"The endpoint of the agent {agent.id!r} {error}."
        ) from error


def signed_request(
    agent: Agent,
    request: ModelRequest,
    fields: dict[str, Any],
    *,
    stream: bool,
    secret: str,
    now: float,
) -> AgentRequest:
    body = b"".join(request.images.pieces(json.dumps(fields, ensure_ascii=False)))
    ids = {"x-edgeneuro-agent": agent.id}
    for name, header in _OF_METADATA.items():
        ids[header] = request.metadata.get(name, "")
    headers = {
        "content-type": "application/json",
        "accept": "text/event-stream" if stream else "application/json",
        SIGNATURE_HEADER: sign(secret, agent_id=agent.id, body=body, now=now),
        # What is no id has no place in a header.
        **{header: value for header, value in ids.items() if _ID.fullmatch(value)},
    }
    if request.trace is not None:
        headers["traceparent"] = request.trace.traceparent
    return AgentRequest(endpoint_of(agent), headers, body)
