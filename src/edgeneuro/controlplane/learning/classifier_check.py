"""The promotion check of a classifier: its answers on the test part must be shown to reach the
target, less a margin."""

from edgeneuro.controlplane.learning.classifier_coverage import coverage_fell
from edgeneuro.controlplane.learning.classifier_score import score_stored
from edgeneuro.controlplane.models.promotion_check import check_failed, require_enough
from edgeneuro.domain.classifier import Classifier, ClassifierScore
from edgeneuro.domain.model import ClassifierCheck
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.statistics import answers_needed, share_lower_bound
from edgeneuro.services import Services
from edgeneuro.store.classifiers import count_other_scores, find_classifier
from edgeneuro.store.evaluations import count_test_evaluations

# The coverage may be so much lower than that of the selected classifier on the same questions.
_COVERAGE_MAY_FALL = 0.05


async def check_classifier(
    services: Services, config: RoutingConfig, classifier: Classifier, score: ClassifierScore
) -> ClassifierCheck:
    """`score` is the classifier's, on the test part as it is now. Raises ConflictError
    `promotion_check_failed`."""
    require_enough(score.n, config.promotion_min_labels, then="select it (it is scored again)")
    alpha = config.promotion_alpha
    required = config.classifier_target - config.promotion_margin
    shown = score.shown
    bound = share_lower_bound(shown.right, shown.answered, alpha=alpha)
    if bound < required:
        raise check_failed(_too_low(score, bound, required=required, alpha=alpha))
    found = await score_of_selected(services, config, classifier)
    if found is not None:
        selected, its = found
        fell = coverage_fell(score, classifier, selected, its)
        coverage, before = shown.coverage or 0.0, its.shown.coverage or 0.0
        if fell and coverage < before - _COVERAGE_MAY_FALL:
            raise check_failed(
                f"{fell}; at most {100 * _COVERAGE_MAY_FALL:.0f} points less are accepted. Train"
                " another one, or select it with `check` false."
            )
    return ClassifierCheck(
        classifier_id=classifier.id,
        score=score,
        lower_bound=bound,
        required=required,
        alpha=alpha,
        earlier_looks=score.looks
        - 1
        + await count_other_scores(services.db, classifier.id)
        + await count_test_evaluations(services.db),
    )


async def score_of_selected(
    services: Services, config: RoutingConfig, classifier: Classifier
) -> tuple[Classifier, ClassifierScore] | None:
    """The selected classifier with its score on the test part as it is now; None where none is
    selected, or this one. Raises InvalidModelError if it is damaged."""
    if config.classifier is None or config.classifier == classifier.id:
        return None
    selected = await find_classifier(services.db, config.classifier)
    if selected is None:
        return None
    return selected, await score_stored(services, config, selected)


def _too_low(score: ClassifierScore, bound: float, *, required: float, alpha: float) -> str:
    if not score.answered:
        return (
            f"it answers none of the {score.n} test questions. Label more and train again, or"
            " select it with `check` false."
        )
    seen = (
        f"of {score.n} test questions it answers {score.answered}, {score.right} of them rightly"
        f" ({score.false_accepts} of the wrong ones fit no agent)."
        f"{_in_traffic(score)} With {1 - alpha:.0%} confidence that is a precision of at least"
        f" {bound:.1%}; {required:.1%} is required (`classifier_target` less `promotion_margin`)."
    )
    shown = score.shown
    if shown.right < required * shown.answered:
        return f"{seen} Label more and train again, or select it with `check` false."
    needed = answers_needed(shown.answered - shown.right, required, alpha=alpha)
    missing = (needed - shown.answered) * score.n // max(1, shown.answered) + 1
    return (
        f"{seen} With as many errors, about {missing} more test labels would show it. Label more"
        " questions, or select it with `check` false."
    )


def _in_traffic(score: ClassifierScore) -> str:
    if score.traffic is None:
        return ""
    return (
        f" In the mix of agents of the traffic that is as much as {score.traffic.right} of"
        f" {score.traffic.answered}."
    )
