"""A candidate beside the active model: after the answer is out it is asked the same, for a share of
the answers, and what it would have decided is noted. Nobody pays for it, and a key with a budget
never has it asked."""

from dataclasses import replace

from edgeneuro.domain.decision import Decision, RouteRequest
from edgeneuro.domain.model import Model
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import DatabaseError
from edgeneuro.services import Services
from edgeneuro.store.candidates import insert_candidate
from edgeneuro.synapsecore.evaluate import evaluate
from edgeneuro.synapsecore.question import Question
from edgeneuro.synapsecore.record import Asker
from edgeneuro.synapsecore.shadow import sampled


def shadow_candidate(
    services: Services,
    request: RouteRequest,
    question: Question,
    config: RoutingConfig,
    asker: Asker,
    decision: Decision,
    *,
    created_ms: int,
) -> None:
    """Only where the active model itself was asked for this answer."""
    shadow, limits = config.shadow, asker.credential.limits
    if shadow is None or request.model is not None or (limits and limits.has_budget):
        return
    if config.withheld:  # then its chain need not begin with the active model
        return
    model = config.models.get(shadow.model_id)
    active = (config.active.base_model, config.active.adapter)
    first = decision.attempts[0] if decision.attempts else None
    asked = first is not None and (first.model, first.adapter) == active
    by_active = decision.model is None or (decision.model, decision.adapter) == active
    if model is None or model.status != "available" or not asked or not by_active:
        return
    if sampled(decision.id, shadow.percent / 100):
        asker.background(
            _ask(services, question, config, asker, decision, model, created_ms=created_ms)
        )


async def _ask(
    services: Services,
    question: Question,
    config: RoutingConfig,
    asker: Asker,
    decision: Decision,
    model: Model,
    *,
    created_ms: int,
) -> None:
    only = replace(question, models=(model,))
    once = replace(config, max_retries=0)
    made = await evaluate(services, once, only, asker, decision_id=decision.id, purpose="candidate")
    active = None
    if decision.agent is not None and decision.reason != "out_of_scope":
        active = decision.agent.id
    try:
        await services.db.run(
            insert_candidate(
                decision.id,
                created_ms=created_ms,
                model_id=model.id,
                agent_id=made.agent_id,
                reason=made.reason,
                failed=made.failed,
                agrees=not made.failed and made.agent_id == active,
                cost_usd=made.cost_usd,
                ms=made.ms,
            )
        )
    except DatabaseError as error:
        services.failures.note("candidate_write", error)
