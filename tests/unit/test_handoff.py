"""Signatures and handoffs, verified by the code that docs/agents.md gives to receivers."""

import hashlib
import json
from typing import Any

import pytest

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.handoff import handoff_text, make_handoff, sign
from tests.unit.documents import Document

RECEIVER, REBUILD = [
    block for block in Document("docs/agents.md").code("python") if "import jwt" not in block
]
SECRET = "shared words"
NOW = 1_800_000_000.9


def agent(**changes: Any) -> Agent:
    fields: dict[str, Any] = {
        "id": "travel",
        "name": "Travel",
        "description": "Trips.",
        "examples": [],
        "endpoint": "https://agents.example.com/travel",
        "protocol": "handoff",
        "system_prompt": "Never tell this.",
        "model": None,
        "enabled": True,
        "default": False,
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
    }
    return Agent(**{**fields, **changes})


def hmac_sha256(secret: bytes, text: bytes) -> str:
    """RFC 2104, by hand."""
    key = secret.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + text).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).hexdigest()


def test_a_signature_is_over_time_agent_and_body() -> None:
    expected = hmac_sha256(SECRET.encode(), b"1800000000.travel." + b'{"a": 1}')
    signed = sign(SECRET, agent_id="travel", body=b'{"a": 1}', now=NOW)
    assert signed == f"t=1800000000,v1={expected}"
    assert signed != sign(SECRET, agent_id="travels", body=b'{"a": 1}', now=NOW)
    assert signed != sign(SECRET, agent_id="travel", body=b'{"a": 2}', now=NOW)
    assert signed != sign(SECRET, agent_id="travel", body=b'{"a": 1}', now=NOW + 1)
    assert signed != sign(SECRET + "x", agent_id="travel", body=b'{"a": 1}', now=NOW)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Book a flight", '"Book a flight"'),
        ('Zürich "now"\n\t\u0001/\u2028 😀', '"Zürich \\"now\\"\\n\\t\\u0001/\u2028 😀"'),
    ],
)
def test_a_handoff_is_signed_over_the_canonical_message(text: str, written: str) -> None:
    handoff = make_handoff(
        agent(),
        text,
        url="https://agents.example.com/travel",
        secret=SECRET,
        message_id="msg_1",
        now=NOW,
    )
    body = (
        f'{{"kind":"message","messageId":"msg_1","parts":[{{"kind":"text","text":{written}}}],'
        '"role":"user"}'
    )
    expected = hmac_sha256(SECRET.encode(), f"1800000000.travel.{body}".encode())
    assert json.loads(handoff.model_dump_json()) == {
        "type": "a2a",
        "agent": {
            "id": "travel",
            "name": "Travel",
            "description": "Trips.",
            "url": "https://agents.example.com/travel",
        },
        "message": {
            "kind": "message",
            "role": "user",
            "messageId": "msg_1",
            "parts": [{"kind": "text", "text": text}],
        },
        "signature": f"t=1800000000,v1={expected}",
        "expires_at": 1_800_000_300,
    }
    assert handoff_text(handoff) == "Handed off to Travel: https://agents.example.com/travel"


class At:
    """Stands for the module `time` at a moment."""

    def __init__(self, seconds: float) -> None:
        self.time = lambda: seconds


def receivers_code() -> dict[str, Any]:
    """What docs/agents.md shows, run as it is written there."""
    names: dict[str, Any] = {}
    exec(RECEIVER, names)
    return names


def test_the_documented_code_takes_what_we_sign_and_nothing_else() -> None:
    names = receivers_code()
    names["time"] = At(NOW + 299)
    check = names["is_from_edgeneuro"]
    body = "Zürich".encode()
    signed = sign(SECRET, agent_id="travel", body=body, now=NOW)
    assert check(SECRET, "travel", signed, body)
    for secret, agent_id, header, sent in (
        ("another", "travel", signed, body),
        (SECRET, "hr", signed, body),
        (SECRET, "travel", signed, body + b" "),
        (SECRET, "travel", signed.replace("t=1", "t=2"), body),
        (SECRET, "travel", signed.replace("v1=", "v0="), body),
        (SECRET, "travel", signed[:-1], body),
        (SECRET, "travel", "", body),
        (SECRET, "travel", "t=,v1=", body),
        (SECRET, "travel", "t=" + "9" * 5_000 + ",v1=é", body),
    ):
        assert not check(secret, agent_id, header, sent)
    for seconds in (NOW + 302, NOW - 302):
        names["time"] = At(seconds)
        assert not check(SECRET, "travel", signed, body)


def test_the_documented_code_takes_a_handoff_as_the_client_writes_it() -> None:
    names = receivers_code()
    names["time"] = At(NOW)
    url = "https://agents.example.com/travel"
    handoff = make_handoff(
        agent(), "Zürich \t 😀", url=url, secret=SECRET, message_id="msg_1", now=NOW
    )
    sent = json.dumps(json.loads(handoff.model_dump_json())["message"], indent=2)
    values: dict[str, Any] = {"json": json, "message": json.loads(sent)}
    exec(REBUILD, values)
    canonical = values["body"]
    assert names["is_from_edgeneuro"](SECRET, "travel", handoff.signature, canonical)
    tampered = canonical.replace(b"Z", b"B")
    assert not names["is_from_edgeneuro"](SECRET, "travel", handoff.signature, tampered)
