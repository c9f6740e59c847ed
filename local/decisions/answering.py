"""The answer of a decision model after its fault was applied, in the format of the question."""

from __future__ import annotations

from typing import Any

from local.decisions import DecisionRequest
from local.decisions.faults import spoilt, spoilt_body
from local.decisions.openai_format import OpenAiDecision, openai_body
from local.decisions.system_one import system_one_body
from local.engines import Engine
from local.faults import Fault


async def system_one_answer(
    engine: Engine, request: DecisionRequest, fault: Fault | None
) -> dict[str, Any]:
    decided = await engine.decide(request)
    if fault is None:
        return system_one_body(request, decided)
    return spoilt_body(system_one_body(request, spoilt(decided, request, fault)), fault)


async def openai_answer(
    engine: Engine, asked: OpenAiDecision, fault: Fault | None
) -> dict[str, Any]:
    decided = await engine.decide(asked.request)
    if fault is None:
        return openai_body(asked, decided)
    return spoilt_body(
        openai_body(asked, spoilt(decided, asked.request, fault, asked.names)), fault
    )
