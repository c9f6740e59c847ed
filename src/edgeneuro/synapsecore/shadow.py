"""Shadows: what the layer that did not answer says of the same question. Where the two differ, one
of them is wrong, and a label tells which.

A sample of the classifier's answers is put to the model too, after the answer is out. Where the
model answered, the classifier has spoken already, so its shadow costs nothing."""

import hashlib
from dataclasses import dataclass, replace

from edgeneuro.domain.decision import ClassifierVerdict
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import DatabaseError
from edgeneuro.services import Services
from edgeneuro.store.database import Statement
from edgeneuro.store.shadow import insert_shadow
from edgeneuro.synapsecore.ask import Asked, ask
from edgeneuro.synapsecore.question import Question
from edgeneuro.synapsecore.record import Asker, count_asking

_LEANING = 0.5  # below it, a classifier that is not sure prefers no agent


@dataclass(frozen=True)
class Shadowed:
    """The decision that is looked at again."""

    id: str
    created_ms: int
    verdict: ClassifierVerdict


def sampled(decision_id: str, share: float) -> bool:
    """By the decision's id, so that it can be told for any decision whether it was."""
    drawn = int.from_bytes(hashlib.sha256(decision_id.encode()).digest()[:8])
    return drawn < share * 2**64


def shadow_model(
    services: Services,
    question: Question,
    config: RoutingConfig,
    asker: Asker,
    shadowed: Shadowed,
) -> None:
    """Has the active model asked once, in the background, where this answer of the classifier is
    one of the sample. No key pays for it; one with a budget is not to use what it did not pay
    for."""
    limits = asker.credential.limits
    if (limits is not None and limits.has_budget) or config.withheld:
        return
    if sampled(shadowed.id, config.classifier_shadow_share):
        asker.background(_ask_model(services, question, config, asker, shadowed))


async def _ask_model(
    services: Services,
    question: Question,
    config: RoutingConfig,
    asker: Asker,
    shadowed: Shadowed,
) -> None:
    only = replace(question, models=question.models[:1])
    once = replace(config, max_retries=0)
    asked = await ask(
        services, only, once, asker, decision_id=shadowed.id, cache=False, purpose="shadow"
    )
    count_asking(services.metrics, asked.attempts, asked.usage, asked.cost_usd)
    if asked.answer is None:
        return
    try:
        await services.db.run(
            insert_shadow(
                shadowed.id,
                created_ms=shadowed.created_ms,
                layer="llm",
                agent_id=asked.answer.agent_id,
                confidence=asked.answer.confidence,
                agrees=asked.answer.agent_id == shadowed.verdict.agent_id,
            )
        )
    except DatabaseError as error:
        services.failures.note("shadow_write", error)


def shadow_classifier(config: RoutingConfig, asked: Asked, shadowed: Shadowed) -> Statement | None:
    """The write of what the classifier made of a question that the model has answered: of all on
    which they differ, and of a sample of the others."""
    verdict, answer = shadowed.verdict, asked.answer
    if answer is None or asked.shared or verdict.score < _LEANING:
        return None
    agrees = answer.agent_id == verdict.agent_id
    if agrees and not sampled(shadowed.id, config.classifier_shadow_share):
        return None
    return insert_shadow(
        shadowed.id,
        created_ms=shadowed.created_ms,
        layer="classifier",
        agent_id=verdict.agent_id,
        confidence=verdict.score,
        agrees=agrees,
    )
