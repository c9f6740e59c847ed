"""The router for an evaluation or a challenger: one model, nothing kept, no log row, and nobody
pays."""

from dataclasses import dataclass

from edgeneuro.classifier.scorer import Prediction, Scorer
from edgeneuro.domain.decision import Answer, RouteRequest
from edgeneuro.domain.model import Model
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import InvalidOutputError, UpstreamRejectedError
from edgeneuro.services import Services
from edgeneuro.synapsecore.ask import Asked, ask
from edgeneuro.synapsecore.decide import Verdict, decide
from edgeneuro.synapsecore.question import Question, ask_question
from edgeneuro.synapsecore.record import Asker, count_asking


@dataclass(frozen=True)
class Evaluated:
    """`agent_id` is None where no agent fits, and where it failed; `reason` says why another agent
    stood in, or why it failed, and `may_pass` that asked later it may not. `ms` is the time that
    was spent on the model. `named` is the agent that a stage named, with the stated `confidence`,
    whatever the threshold made of it, in this `layer`; `answers` is who would answer, the fallback
    agent too, and `decided` tells that a stage named it."""

    agent_id: str | None
    reason: str | None
    failed: bool
    may_pass: bool
    tokens: int
    cost_usd: float | None
    ms: float
    named: str | None
    confidence: float | None
    layer: str
    answers: str | None
    decided: bool


async def evaluate_question(
    services: Services, config: RoutingConfig, model: Model, query: str, asker: Asker
) -> Evaluated:
    """An upstream's fault is never raised."""
    request = RouteRequest(query=query, model=model.id, cache=False, fallback=False)
    question = ask_question(request, config, key_id=asker.credential.key_id)
    return await evaluate(
        services, config, question, asker, decision_id=asker.request_id, purpose="evaluation"
    )


def answer_of_classifier(scorer: Scorer, config: RoutingConfig, query: str) -> str | None:
    """The agent that the classifier would answer with; None if it would defer to the model."""
    return answer_by(scorer.predict(query), config)


def answer_by(prediction: Prediction, config: RoutingConfig) -> str | None:
    """The same for a prediction that is known already."""
    sure = prediction.sure_at(config.confidence_threshold)
    return prediction.agent_id if sure and prediction.agent_id in config.agents else None


async def evaluate(
    services: Services,
    config: RoutingConfig,
    question: Question,
    asker: Asker,
    *,
    decision_id: str,
    purpose: str,
) -> Evaluated:
    """The stages ask and decide. `decision_id` is for AI Gateway's log."""
    asked = await ask(
        services,
        question,
        config,
        asker,
        decision_id=decision_id,
        cache=False,
        purpose=purpose,
    )
    count_asking(services.metrics, asked.attempts, asked.usage, asked.cost_usd)
    return evaluated(question, config, asked, asked.answer)


def evaluated(
    question: Question, config: RoutingConfig, asked: Asked, answer: Answer | None
) -> Evaluated:
    """What is decided by `answer`, which need not be a model's."""
    failure = asked.failure.reason if asked.failure else None
    verdict = decide(question, answer, threshold=config.confidence_threshold, failure=failure)
    failed = answer is None
    return Evaluated(
        agent_id=None if failed else decided_agent(verdict),
        reason=verdict.reason,
        failed=failed,
        # A model that answered answers the same again, whatever it is worth.
        may_pass=failed
        and not isinstance(asked.failure, InvalidOutputError | UpstreamRejectedError),
        tokens=asked.usage.total_tokens,
        cost_usd=asked.cost_usd,
        ms=round(asked.upstream_ms, 2),
        named=None if answer is None else answer.agent_id,
        confidence=None if answer is None else answer.confidence,
        layer=verdict.layer if answer is None else answer.layer,
        answers=None if failed or verdict.agent is None else verdict.agent.id,
        decided=verdict.outcome == "agent",
    )


def decided_agent(verdict: Verdict) -> str | None:
    """Who answers; None if no agent fits or nobody answers."""
    if verdict.agent is None or verdict.reason == "out_of_scope":
        return None
    return verdict.agent.id
