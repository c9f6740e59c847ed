"""What decision models are asked and answer, for tests."""

from dataclasses import replace

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.decision import GatewayTrace, Usage
from edgeneuro.domain.question import Answer, ChoiceAnswer, YesNoAnswer
from edgeneuro.gateway.interface import DecisionAnswer
from edgeneuro.settings import Settings
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import GENERAL, HR, IT, Product

CLEF = "@cf/cloudflare/clef"
FLASH = "@cf/cloudflare/clef-flash"
USED = Usage(prompt_tokens=1_000, total_tokens=1_000)


def chose(
    probabilities: dict[str, float],
    *,
    clarify: float | None = 0.2,
    several: float | None = 0.1,
    follow_up: float | None = None,
    cache_status: str | None = None,
) -> DecisionAnswer:
    """A decision model that gives each agent and "none" this probability."""
    best = max(probabilities, key=probabilities.__getitem__)
    answers: dict[str, Answer] = {"agent": ChoiceAnswer(best, probabilities)}
    if clarify is not None:
        answers["clarify"] = YesNoAnswer(clarify)
    if several is not None:
        answers["several"] = YesNoAnswer(several)
    if follow_up is not None:
        answers["follow_up"] = YesNoAnswer(follow_up)
    trace = GatewayTrace(log_id="log_1", cache_status=cache_status)
    return DecisionAnswer(answers=answers, usage=USED, trace=trace)


def agent(agent_id: str, **fields: object) -> Agent:
    return Agent.model_validate(
        {
            "id": agent_id,
            "name": agent_id.title(),
            "description": "Does things.",
            "examples": [],
            "endpoint": None,
            "protocol": "openai",
            "system_prompt": None,
            "model": None,
            "enabled": True,
            "default": False,
            "created_at": "",
            "updated_at": "",
            **fields,
        }
    )


async def decision_product(
    database: SqliteDatabase,
    settings: Settings,
    *,
    model: str = CLEF,
    fallbacks: tuple[str, ...] = (),
) -> Product:
    """With the agents it_support, hr and general, and a decision model as the active model."""
    product = Product(database, replace(settings, routing_model=model, fallback_models=fallbacks))
    for each in (IT, HR, GENERAL):
        assert (await product.call("POST", "/v1/agents", each)).status == 201
    return product
