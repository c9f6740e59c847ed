"""POST /v1/evaluations/estimate: the calls and the cost of an evaluation, before it is started."""

from edgeneuro.call import Call
from edgeneuro.controlplane.access.allowed import require_router
from edgeneuro.controlplane.evaluations.evaluation_targets import proposal_named
from edgeneuro.controlplane.evaluations.evaluations import (
    contestants_of,
    evaluated_config,
    no_labels,
)
from edgeneuro.controlplane.proposals import propose
from edgeneuro.domain.decision import RouteRequest
from edgeneuro.domain.evaluation import (
    PIPELINE,
    ContestantEstimate,
    EvaluationCreate,
    EvaluationEstimate,
)
from edgeneuro.domain.fields import MAX_QUERY_CHARACTERS
from edgeneuro.domain.model import OWN_PROVIDER, Model
from edgeneuro.domain.proposal import fingerprint
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.store.evaluation_estimates import (
    Questions,
    Spent,
    is_emulated,
    read_questions,
    read_spent,
)
from edgeneuro.synapsecore.measure import expected_tokens
from edgeneuro.synapsecore.stage_clock import StageClock
from edgeneuro.synapsecore.turn import CallerContext, build_turn


async def estimate_evaluation(call: Call, body: EvaluationCreate) -> EvaluationEstimate:
    """Estimate the model calls, tokens and cost of an evaluation. Nothing is started."""
    db = call.services.db
    await require_router(call, body.router)
    config = await evaluated_config(call, body)
    model_ids = contestants_of(config, body)
    questions = await read_questions(db, body.split, list(config.agents), body.limit)
    if not questions.count:
        raise no_labels(body)
    spent = await read_spent(
        db,
        target=body.target,
        agents_revision=config.agents_revision,
        router=config.named_router,
        fingerprint=fingerprint(config),
    )
    emulated = await is_emulated(db)
    contestants = []
    for name in model_ids:
        of_pipeline = body.target == PIPELINE or name == PIPELINE
        view = config
        if of_pipeline:
            view = await propose(call.services, config, proposal_named(config, name))
        elif name in config.classifiers:
            contestants.append(_NO_CALLS.model_copy(update={"model_id": name}))
            continue
        model = view.active if of_pipeline else config.models[name]
        guessed = _guessed(call, view, model, questions, emulated=emulated)
        found = spent.get(name, guessed)
        each = questions.count
        cost = guessed.cost_usd if found.cost_usd is None else found.cost_usd
        contestants.append(
            ContestantEstimate(
                model_id=name,
                calls=each,
                at_most=of_pipeline and (view.classifier is not None or bool(view.rules)),
                tokens=round(found.tokens * each),
                cost_usd=None if cost is None else round(cost * each, 9),
                emulated=found.emulated or guessed.emulated,
                basis="evaluation" if name in spent else "prompt",
            )
        )
    return EvaluationEstimate(questions=questions.count, contestants=contestants)


_NO_CALLS = ContestantEstimate(
    model_id="", calls=0, at_most=False, tokens=0, cost_usd=0.0, emulated=False, basis="none"
)


def _guessed(
    call: Call, config: RoutingConfig, model: Model, questions: Questions, *, emulated: bool
) -> Spent:
    """Of a question of the mean length."""
    text = "x" * max(1, min(round(questions.mean_bytes), MAX_QUERY_CHARACTERS))
    turn = build_turn(
        call.services,
        RouteRequest.model_construct(query=text, model=model.id, cache=False),
        config,
        CallerContext.of(call),
        id=call.request_id,
        clock=StageClock(call.services.monotonic),
        purpose="evaluation",
    )
    read, written = expected_tokens(turn, model)
    cost = None
    if model.pricing is not None:
        micro_usd = read * model.pricing.input_per_million
        cost = (micro_usd + written * model.pricing.output_per_million) / 1_000_000
    return Spent(read + written, cost, emulated and model.provider == OWN_PROVIDER)
