"""The challenger: for a share of the active model's answers it is asked the same question, after
the answer is sent, and its decision is stored. No key is charged for it, and it is never asked for
a key with a budget."""

from dataclasses import replace

from edgeneuro.domain.decision import Decision, RouteRequest
from edgeneuro.domain.model import Model
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import DatabaseError
from edgeneuro.services import Services
from edgeneuro.store.challenger import insert_challenger_answer
from edgeneuro.synapsecore.audit_sample import sampled
from edgeneuro.synapsecore.evaluate import evaluate
from edgeneuro.synapsecore.question import Question
from edgeneuro.synapsecore.record import Asker


def ask_challenger(
    services: Services,
    request: RouteRequest,
    question: Question,
    config: RoutingConfig,
    asker: Asker,
    decision: Decision,
    *,
    created_ms: int,
) -> None:
    """Only if the active model itself was asked for this answer."""
    challenger, limits = config.challenger, asker.credential.limits
    if challenger is None or request.model is not None or (limits and limits.has_budget):
        return
    if config.withheld:  # then the chain may begin with another model
        return
    model = config.models.get(challenger.model_id)
    active = (config.active.base_model, config.active.adapter)
    first = decision.attempts[0] if decision.attempts else None
    asked = first is not None and (first.model, first.adapter) == active
    by_active = decision.model is None or (decision.model, decision.adapter) == active
    if model is None or model.status != "available" or not asked or not by_active:
        return
    if sampled(decision.id, challenger.percent / 100):
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
    made = await evaluate(
        services, once, only, asker, decision_id=decision.id, purpose="challenger"
    )
    active = None
    if decision.agent is not None and decision.reason != "out_of_scope":
        active = decision.agent.id
    try:
        await services.db.run(
            insert_challenger_answer(
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
        services.failures.note("challenger_write", error)
