"""Requests to the decision APIs, and answers of decision models, for tests."""

from collections.abc import Mapping, Sequence
from typing import Any

from edgeneuro.domain.decision import GatewayTrace, Usage
from edgeneuro.domain.question import Answer, ChoiceAnswer, ScoreAnswer, YesNoAnswer
from edgeneuro.gateway.interface import DecisionAnswer
from tests.unit.conftest import ADMIN_TOKEN, Answered, Product

CLEF = "@cf/cloudflare/clef"
FLASH = "@cf/cloudflare/clef-flash"
QUERY = "My VPN does not connect"
URGENT = {"type": "predicate", "name": "urgent", "instructions": "Is it urgent?"}
TONE = {
    "type": "choice",
    "name": "tone",
    "instructions": "What is the tone?",
    "choices": [{"value": "calm"}, {"value": "angry", "description": "Shouts."}],
}
MOOD = {
    "type": "score",
    "instructions": "How happy?",
    "levels": [{"label": "low"}, {"label": "middle"}, {"label": "high"}],
}


def choice(*values: Any, name: str | None = None) -> dict[str, Any]:
    named = {} if name is None else {"name": name}
    options = [{"value": value} for value in values]
    return {"type": "choice", "instructions": "Which agent?", "choices": options, **named}


async def decisions(
    product: Product,
    *questions: Any,
    model: str | None = "auto",
    input: Any = QUERY,
    key: str = ADMIN_TOKEN,
    **fields: Any,
) -> Answered:
    body = {"input": input, "questions": list(questions), **fields}
    if model is not None:
        body["model"] = model
    return await product.call("POST", "/v1/decisions", body, key=key)


async def systemone(
    product: Product, questions: Any, *, state: Any = QUERY, **fields: Any
) -> Answered:
    body = {"state": state, "questions": questions, **fields}
    return await product.call("POST", "/v1/systemone", body)


def decided(
    answers: Mapping[str, Answer], *, tokens: int = 100, cache_status: str | None = None
) -> DecisionAnswer:
    return DecisionAnswer(
        answers=answers,
        usage=Usage(prompt_tokens=tokens, total_tokens=tokens),
        trace=GatewayTrace(log_id="log-1", cache_status=cache_status),
    )


def yes(probability: float = 0.8) -> YesNoAnswer:
    return YesNoAnswer(probability)


def chosen(**probabilities: float) -> ChoiceAnswer:
    return ChoiceAnswer(max(probabilities, key=lambda each: probabilities[each]), probabilities)


def scored(probabilities: Sequence[float]) -> ScoreAnswer:
    score = sum(level * share for level, share in enumerate(probabilities))
    return ScoreAnswer(score, tuple(probabilities))


async def select(product: Product, *models: str) -> None:
    """The first is the active model, the others are its fallback models."""
    settings = {"routing_model": models[0], "fallback_models": list(models[1:])}
    answered = await product.call("PATCH", "/v1/config", settings)
    assert answered.status == 200, answered.text
