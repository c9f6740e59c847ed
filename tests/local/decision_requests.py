"""Questions to decision models, and what the tests of them share."""

from __future__ import annotations

from typing import Any

from tests.local.emulator import RUN, Emulator, Json

CLEF = "@cf/cloudflare/clef"
CLEF_FLASH = "@cf/cloudflare/clef-flash"
CLEF_OMNI = "@cf/cloudflare/clef-omni"
BEARER = {"authorization": "Bearer sk-12345678"}
IMAGE = "data:image/png;base64,iVBORw0KGgo="
VPN = "My VPN does not connect"

AGENTS: Json = {
    "it_support": 'IT Support. Passwords, VPN, software. e.g. "My VPN does not connect"',
    "hr": 'Human Resources. Holidays and leave. e.g. "How many vacation days do I have left?"',
    "finance": "Finance. Salary payments, expenses, invoices, taxes.",
    "none": "none of these",
}
AGENT: Json = {"type": "choice", "instructions": "Which agent?", "criteria": AGENTS}
CLARIFY: Json = {"type": "noul", "instructions": "Is a clarifying question needed?"}
SEVERAL: Json = {
    "type": "noul",
    "instructions": "Does this message ask for the work of more than one agent?",
}
SEVERITY: Json = {
    "type": "score",
    "instructions": "How severe is it?",
    "criteria": ["a question", "something slow", "does not connect at all"],
}
QUESTIONS: Json = {"agent": AGENT, "clarify": CLARIFY, "several": SEVERAL, "severity": SEVERITY}


def asked(state: Any = VPN, questions: Any = QUESTIONS, **more: Any) -> Json:
    return {"model": "clef", "state": state, "questions": questions, **more}


async def decide(emulator: Emulator, inputs: Json | None = None, model: str = CLEF) -> Json:
    """The result of a decision that succeeds."""
    answer = await emulator.client.post(f"{RUN}/{model}", json=inputs or asked())
    assert answer.status_code == 200, answer.text
    result: Json = answer.json()["result"]
    return result
