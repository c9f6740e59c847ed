"""The promotion check of a model: an evaluation must show that it is not worse than the active
model by more than a margin."""

from edgeneuro.domain.evaluation import Evaluation, PairResult
from edgeneuro.domain.model import Model, PromotionCheck
from edgeneuro.domain.prompt import prompt_version
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.statistics import difference_lower_bound, questions_needed
from edgeneuro.errors import ConflictError
from edgeneuro.store.database import Database
from edgeneuro.store.evaluation_results import compared
from edgeneuro.store.evaluations import count_test_evaluations, newest_on_test_part


async def check_model(db: Database, config: RoutingConfig, model: Model) -> PromotionCheck | None:
    """What the newest evaluation of the model and the active one shows; None for the active model
    itself. Only evaluations on the test part count, with the present agents, prompt, threshold and
    calibrations. Raises ConflictError `promotion_check_failed`."""
    active = config.active
    if model.id == active.id:
        return None
    how = f'POST /v1/evaluations {{"model_ids": ["{active.id}", "{model.id}"]}}'
    found = await newest_on_test_part(
        db,
        agents_revision=config.agents_revision,
        prompts=[prompt_version(active.type), prompt_version(model.type)],
        threshold=config.confidence_threshold,
        calibrations={each: config.calibration_version(each) for each in (active.id, model.id)},
    )
    if found is None:
        raise check_failed(
            f"no evaluation has compared {model.id!r} with the active {active.id!r} on the test"
            f" part with the present agents, prompt, threshold and calibrations. Start one: {how}"
        )
    pair = _pair(found, active.id, model.id)
    require_enough(pair.n, config.promotion_min_labels, then=how)
    alpha, margin = config.promotion_alpha, config.promotion_margin
    bound = difference_lower_bound(pair.only_first, pair.only_second, pair.n, alpha=alpha)
    if bound <= -margin:
        raise check_failed(_too_low(pair, bound, margin=margin, alpha=alpha))
    return PromotionCheck(
        evaluation_id=found.id,
        n=pair.n,
        difference=pair.difference,
        low=pair.low,
        high=pair.high,
        lower_bound=bound,
        margin=margin,
        alpha=alpha,
        earlier_looks=await count_test_evaluations(db, before=found.id),
    )


def require_enough(labels: int, least: int, *, then: str) -> None:
    """Raises ConflictError where there are fewer test labels than the setting asks for. `then` is
    what to do once there are more."""
    if labels < least:
        raise check_failed(
            f"{labels} test labels, at least {least} are required (`promotion_min_labels`):"
            f" {least - labels} are missing. Label more questions, then {then}; or select with"
            " `check` false."
        )


def check_failed(why: str) -> ConflictError:
    return ConflictError(
        f"Promotion check failed: {why}", code="promotion_check_failed", param="check"
    )


def _pair(found: Evaluation, active: str, challenger: str) -> PairResult:
    """The active model is the first one."""
    pairs = [] if found.results is None else found.results.pairs
    pair = next(each for each in pairs if {each.first, each.second} == {active, challenger})
    if pair.first == active:
        return pair
    return compared(
        active,
        challenger,
        n=pair.n,
        only_first=pair.only_second,
        only_second=pair.only_first,
    )


def _too_low(pair: PairResult, bound: float, *, margin: float, alpha: float) -> str:
    seen = (
        f"on {pair.n} test questions {pair.second!r} is {-100 * pair.difference:.1f} points less"
        f" accurate than the active {pair.first!r}, with {1 - alpha:.0%} confidence at most"
        f" {-100 * bound:.1f}; `promotion_margin` allows {100 * margin:.1f}. It lost"
        f" {pair.only_first} questions and won {pair.only_second}."
    )
    if pair.difference <= -margin:
        return f"{seen} Train another one, or select it with `check` false."
    discordant = (pair.only_first + pair.only_second) / pair.n
    needed = questions_needed(discordant, margin=margin, alpha=alpha)
    return (
        f"{seen} To show that a model as good as the active one is, it takes about {needed} test"
        " questions. Label more and evaluate again, or select it with `check` false."
    )
