"""A classifier that is not selected runs beside the decisions: what it would have answered, and
whether it agrees, is counted. It is asked after the answer is sent, and the count goes into the
batch of the log row, so a query costs one more row and counts once. The queries came after its
training, so it never learned one of them before it was judged by it."""

from edgeneuro.domain.router_names import DEFAULT_ROUTER
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.isolate.classifier_cache import LoadedClassifier
from edgeneuro.store.additions import Addition
from edgeneuro.store.learning import Observed, count_observed
from edgeneuro.synapsecore import policy
from edgeneuro.synapsecore.rankers.classifier import LoadedClassifierRanker
from edgeneuro.synapsecore.ranking import Ranking, Skip
from edgeneuro.synapsecore.router import RoutingResult
from edgeneuro.synapsecore.turn import Turn

# For the isolate's cache of classifiers: no router can have this id.
_PLACE = "/observed"


def observed_classifier(config: RoutingConfig) -> str | None:
    """The newest classifier of all agents that is not selected and not older than the selected
    one; None if learning is off. Ids are in the order of time."""
    if config.learning == "off" or config.router != DEFAULT_ROUTER:
        return None
    found = (each.id for each in config.classifiers.values() if each.router is None)
    newest = max(found, default=None)
    selected = config.classifier
    return None if newest is None or (selected is not None and newest <= selected) else newest


async def count_beside(result: RoutingResult) -> Addition | None:
    """None where nothing is to be counted. It raises nothing: the log row must not be lost."""
    turn = result.turn
    if turn.purpose != "route" or turn.model_named or not turn.cache:
        return None
    reference = _reference(result)
    loaded = None if reference is None else _observed(turn)
    if reference is None or loaded is None:
        return None
    try:
        ranking = await LoadedClassifierRanker(loaded).rank(turn)
    except Exception as error:
        turn.services.failures.note("observed_classifier", error)
        return None
    if isinstance(ranking, Skip):
        return None
    answered = ranking.best is not None and policy.refusal(turn, ranking) is None
    agreed = answered and ranking.best == reference.best
    if reference is result.classifier:
        seen = Observed(beside=1, beside_answered=answered, beside_agreed=agreed)
    else:
        seen = Observed(compared=1, answered=answered, agreed=agreed)
    return count_observed(loaded.id, turn.created_ms, seen)


def _observed(turn: Turn) -> LoadedClassifier | None:
    """None while it is not loaded. No answer waits for it. A query of another router leaves it
    loaded: where routers are used in turn it would be read again and again, and count nothing."""
    if turn.config.router != DEFAULT_ROUTER:
        return None
    wanted = observed_classifier(turn.config)
    found = turn.services.classifier.current(_PLACE, wanted, turn.config, turn.caller.background)
    return found if found is not None and found.id == wanted else None


def _reference(result: RoutingResult) -> Ranking | None:
    """The ranking that the decision was made from, if it is the selected classifier's or that of a
    model that was called for it. A decision that another agent would answer just as well, or that
    the model was not sure enough of, says nothing about who disagrees."""
    decision = result.decision
    ranking = decision.ranking
    if ranking is None or decision.reason in policy.UNDETERMINED:
        return None
    if ranking is result.classifier:
        return ranking
    unsure = decision.reason in ("low_confidence", policy.PREFERRED)
    return ranking if ranking is result.model_ranking and not unsure else None
