"""Audit samples: a second opinion from the layer that did not answer. If the two differ, one of
them is wrong, and a label shows which.

For a sample of the classifier's decisions the model is asked too, after the answer is sent. If the
model answered, the classifier was asked before it, so its opinion costs nothing."""

import hashlib
from dataclasses import dataclass, replace

from edgeneuro.domain.decision import ClassifierVerdict
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import DatabaseError
from edgeneuro.services import Services
from edgeneuro.store.audit_samples import insert_audit_sample
from edgeneuro.store.database import Statement
from edgeneuro.synapsecore.ask import Asked, ask
from edgeneuro.synapsecore.question import Question
from edgeneuro.synapsecore.record import Asker, count_asking

_MIN_SCORE = 0.5  # below it, the classifier prefers no agent


@dataclass(frozen=True)
class SampledDecision:
    """The decision that gets a second opinion."""

    id: str
    created_ms: int
    verdict: ClassifierVerdict


def sampled(decision_id: str, share: float) -> bool:
    """Depends on the decision's id alone, so it gives the same answer for a decision every time."""
    drawn = int.from_bytes(hashlib.sha256(decision_id.encode()).digest()[:8])
    return drawn < share * 2**64


def audit_by_model(
    services: Services,
    question: Question,
    config: RoutingConfig,
    asker: Asker,
    sample: SampledDecision,
) -> None:
    """Asks the active model once, in the background, if this decision of the classifier is in the
    sample. No key is charged for it, and a key with a budget has none."""
    limits = asker.credential.limits
    if (limits is not None and limits.has_budget) or config.withheld:
        return
    if sampled(sample.id, config.audit_sample_share):
        asker.background(_ask_model(services, question, config, asker, sample))


async def _ask_model(
    services: Services,
    question: Question,
    config: RoutingConfig,
    asker: Asker,
    sample: SampledDecision,
) -> None:
    only = replace(question, models=question.models[:1])
    once = replace(config, max_retries=0)
    asked = await ask(
        services, only, once, asker, decision_id=sample.id, cache=False, purpose="audit_sample"
    )
    count_asking(services.metrics, asked.attempts, asked.usage, asked.cost_usd)
    if asked.answer is None:
        return
    try:
        await services.db.run(
            insert_audit_sample(
                sample.id,
                created_ms=sample.created_ms,
                layer="llm",
                agent_id=asked.answer.agent_id,
                confidence=asked.answer.confidence,
                agrees=asked.answer.agent_id == sample.verdict.agent_id,
            )
        )
    except DatabaseError as error:
        services.failures.note("audit_sample_write", error)


def audit_by_classifier(
    config: RoutingConfig, asked: Asked, sample: SampledDecision
) -> Statement | None:
    """The write of the classifier's opinion on a question that the model has answered: of all on
    which they differ, and of a sample of the others."""
    verdict, answer = sample.verdict, asked.answer
    if answer is None or asked.shared or verdict.score < _MIN_SCORE:
        return None
    agrees = answer.agent_id == verdict.agent_id
    if agrees and not sampled(sample.id, config.audit_sample_share):
        return None
    return insert_audit_sample(
        sample.id,
        created_ms=sample.created_ms,
        layer="classifier",
        agent_id=verdict.agent_id,
        confidence=verdict.score,
        agrees=agrees,
    )
