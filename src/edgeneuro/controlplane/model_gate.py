"""The gate before a model is selected: what an evaluation of it and the active model says."""

from edgeneuro.domain.model import GateVerdict, Model
from edgeneuro.domain.prompt import PROMPT_VERSION
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import ConflictError
from edgeneuro.store.database import Database
from edgeneuro.store.evaluation_results import compared
from edgeneuro.store.evaluations import newest_with


async def require_gate(db: Database, config: RoutingConfig, candidate: Model) -> GateVerdict | None:
    """None where the candidate is the active model. Raises ConflictError where the gate is shut."""
    active = config.active
    if candidate.id == active.id:
        return None
    ids = [active.id, candidate.id]
    how = f'POST /v1/evaluations {{"model_ids": ["{active.id}", "{candidate.id}"]}}'
    found = await newest_with(
        db, ids, agents_revision=config.agents_revision, prompt_version=PROMPT_VERSION
    )
    if found is None or found.results is None:
        raise _closed(
            f"no evaluation has put {candidate.id!r} and the active {active.id!r} to the same"
            f" held-out labels, with the agents as they are now. Begin one: {how}"
        )
    pair = next(each for each in found.results.pairs if {each.first, each.second} == set(ids))
    if pair.first != active.id:
        pair = compared(
            active.id,
            candidate.id,
            n=pair.n,
            only_first=pair.only_second,
            only_second=pair.only_first,
        )
    if pair.n < config.gate_min_labels:
        raise _closed(
            f"the evaluation {found.id} has {pair.n} held-out labels, and `gate_min_labels` wants"
            f" {config.gate_min_labels}. Label more questions, then: {how}"
        )
    if pair.p_second_worse < config.gate_alpha:
        raise _closed(
            f"{candidate.id!r} is worse than the active {active.id!r} on {pair.n} held-out labels:"
            f" it lost {pair.only_first} that the other has right and won {pair.only_second}"
            f" (McNemar's exact p {pair.p_second_worse:.3g}, `gate_alpha` {config.gate_alpha:g})."
            " Train another one, or select it with `gate` false."
        )
    return GateVerdict(
        evaluation_id=found.id,
        n=pair.n,
        difference=pair.difference,
        low=pair.low,
        high=pair.high,
        p_worse=pair.p_second_worse,
        alpha=config.gate_alpha,
    )


def _closed(why: str) -> ConflictError:
    return ConflictError(f"The gate is closed: {why}", code="gate_closed", param="gate")
