"""Enabling by rule, while `learning` is "on": a trained classifier runs beside the decisions
(synapsecore/beside.py) and is enabled, or replaces the enabled one, once it has passed.

It passes on evidence that chose nothing: the cross-fitted answers of its training, and its answers
beside the decisions since then. Where there are test labels enough, the promotion check decides.
Otherwise its agreement with the model does: the model errs too, so the lower bound has to reach the
target times the agreement of its surest answers (the training's `noise_plateau`), less the margin.
Beside the enabled classifier it must not answer clearly less, nor agree less by more than twice the
margin: both figures are estimates.

A classifier that the rules have enabled or disabled before is never enabled by them again, so a
person's choice is not undone; a newer one may be."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import sqrt

from edgeneuro.classifier.held_out import does_worse, wilson
from edgeneuro.classifier.model import InvalidModelError
from edgeneuro.controlplane.access.audit import rule_audit_row
from edgeneuro.controlplane.evaluations.routing_tests import require_tests
from edgeneuro.controlplane.learning.classifier_check import check_classifier, score_stored
from edgeneuro.controlplane.learning.traffic import decisions_by_agent
from edgeneuro.domain.classifier import Classifier, ClassifierScore, RuleOutcome
from edgeneuro.domain.learning import (
    HUMAN_LABELS,
    EnabledClassifier,
    LearnedState,
    StepCode,
)
from edgeneuro.domain.model import ModelSelection
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.statistics import upper_quantile
from edgeneuro.domain.training_precision import training_precision
from edgeneuro.errors import ConflictError
from edgeneuro.services import Services
from edgeneuro.store import classifiers as classifier_store
from edgeneuro.store.learning import (
    Observed,
    blocks_from_rows,
    enable_classifier,
    read_observed,
    select_audit_blocks,
    settle,
)
from edgeneuro.synapsecore.beside import observed_classifier
from edgeneuro.synapsecore.watch import SETTLED_SAMPLES, disable_below, enabled_state

MIN_ANSWERS = 100  # beside the decisions, since the training
MIN_COMPARED = 200  # decisions, for its coverage beside the enabled one's
# One agent has more of the decisions: the model may give the same answer to everything, and whoever
# repeats it agrees with it. Fewer decisions say nothing.
ONE_SIDED_SHARE, _MIN_DECISIONS = 0.95, 100
_COVERAGE_MAY_FALL = 0.05
# A classifier whose precision human labels show may agree less, since the model errs; below this
# one of both has no idea.
_MIN_AGREEMENT = 0.7
_LOWEST_BOUND, _HIGHEST_BOUND = 0.5, 0.99


@dataclass(frozen=True)
class Counts:
    """Of `n` answers `right` agreed, or were right."""

    n: float = 0.0
    right: float = 0.0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.n + other.n, self.right + other.right)

    @property
    def share(self) -> float:
        return self.right / self.n if self.n else 0.0

    def low(self, alpha: float) -> float:
        return wilson(self.right, self.n, -upper_quantile(alpha))


@dataclass(frozen=True)
class Verdict:
    """Whether a classifier passes. `code` and `reason` say why not; `agreement` are the answers
    whose agreement with the model is known, `bound` is what its audit samples should reach."""

    passed: bool
    code: StepCode
    reason: str
    basis: str
    agreement: Counts = Counts()
    bound: float = _LOWEST_BOUND


async def enable_by_rule(services: Services) -> None:
    """The minute's look: at the audit samples of the enabled classifier, and at the one beside it.
    Raises DatabaseError."""
    config = await services.routing.current()
    if config.learning != "on":
        return
    if config.classifier is not None and await _watched(services, config, config.classifier):
        return
    candidate = observed_classifier(config)
    if candidate is None or candidate <= config.stored.learned.newest:
        return
    made = await classifier_store.find_classifier(services.db, candidate)
    if made is None or made.state != "succeeded":
        return
    observed, _ = await read_observed(services.db, candidate)
    decisions = await decisions_by_agent(services, list(config.agents))
    verdict = judge(config, made, observed, decisions)
    if verdict.passed:
        verdict = await _last_checks(services, config, made, verdict)
    if verdict.passed:
        await _enable(services, config, made, verdict)


async def _watched(services: Services, config: RoutingConfig, classifier_id: str) -> bool:
    """Disables the classifier where the samples say so, which the isolate that took the last one
    may have failed to; notes when it has enough of them. Returns whether it was disabled."""
    blocks = blocks_from_rows(await services.db.run(select_audit_blocks(classifier_id)))
    if await disable_below(services, config, classifier_id, blocks):
        return True
    enabled = enabled_state(config)
    if enabled is not None and not enabled.settled:
        if sum(samples for samples, _ in blocks) >= SETTLED_SAMPLES:
            learned = config.stored.learned.model_copy(
                update={"enabled": enabled.model_copy(update={"settled": True})}
            )
            await services.db.run(settle(classifier_id, learned, now_ms=services.now_ms()))
            services.routing.forget()
    return False


def judge(
    config: RoutingConfig, made: Classifier, observed: Observed, decisions: Mapping[str, int]
) -> Verdict:
    """What the figures say, without the promotion check. `decisions` are those of the router by
    agent."""
    model, enabled = config.active.id, enabled_state(config)
    by_labels = has_test_labels(config, made.test_score)
    basis = HUMAN_LABELS if by_labels else f"agreement with {model}"

    def refused(code: StepCode, reason: str) -> Verdict:
        return Verdict(False, code, reason, basis)

    if not config.audit_sample_share:
        return refused(
            "no_audit_samples",
            "Without audit samples nobody would notice that an enabled classifier gets worse. Set"
            " `audit_sample_share` to 0.02, say.",
        )
    agent = one_sided(decisions) or one_sided(made.progress.machine_decided)
    if agent is not None:
        return refused(
            "one_sided",
            f"More than {ONE_SIDED_SHARE:.0%} of the decisions name {agent!r}. A model that gives"
            " the same answer to everything teaches nothing: look at the log. If the queries are"
            " like that, select the classifier yourself.",
        )
    answers = observed.answered + observed.beside_answered
    if answers < MIN_ANSWERS:
        return refused(
            "observe_more",
            f"{made.id} would have answered {answers} queries since it was trained;"
            f" {MIN_ANSWERS} are needed to judge it.",
        )
    learned = _held_out(made)
    live = _live(observed, enabled)
    machine = learned_from_machine(made)
    agreement = live + learned if machine else live
    margin, alpha = config.promotion_margin, config.promotion_alpha
    if live.low(alpha) < _MIN_AGREEMENT:
        return refused("not_passed", _shown(live, alpha, _MIN_AGREEMENT, made, model))
    if not by_labels:
        plateau = float((made.metrics or {}).get("noise_plateau") or 1.0) if machine else 1.0
        required = made.options.target * plateau - margin
        shown = agreement if machine else learned
        if shown.low(alpha) < required:
            return refused("not_passed", _shown(shown, alpha, required, made, model))
        if machine and does_worse(round(live.n - live.right), round(live.n), learned.share):
            return refused(
                "not_passed",
                f"Since it was trained {made.id} has agreed with {model} in {live.share:.1%} of"
                f" {live.n:.0f} answers, at its training in {learned.share:.1%}: clearly less.",
            )
    if (why := _worse_than_enabled(config, enabled, observed, agreement)) is not None:
        return refused("not_passed", f"{made.id} {why}")
    bound = min(max(agreement.low(alpha) - margin, _LOWEST_BOUND), _HIGHEST_BOUND)
    return Verdict(True, "enable", f"{made.id} has passed.", basis, agreement, bound)


def has_test_labels(config: RoutingConfig, score: ClassifierScore | None) -> bool:
    return score is not None and score.n >= config.promotion_min_labels


def learned_from_machine(made: Classifier) -> bool:
    """Whether the figures of the training are of machine labels: then they say how often it agrees
    with the model, not how often it is right."""
    if (made.metrics or {}).get("noise_plateau") is not None:
        return True
    return sum(made.progress.machine_labels.values()) > made.labels


def one_sided(decisions: Mapping[str, int]) -> str | None:
    """The agent that has nearly all decisions; None: there is none, or too few decisions."""
    total = sum(decisions.values())
    agent = max(sorted(decisions), key=lambda each: decisions[each], default=None)
    if agent is None or total < _MIN_DECISIONS or len(decisions) < 2:
        return None
    return agent if decisions[agent] > ONE_SIDED_SHARE * total else None


def _held_out(made: Classifier) -> Counts:
    """The answers among the held-out questions of the training, cross-fitted."""
    shown = training_precision(made)
    return Counts() if shown is None else Counts(shown.answered, shown.right)


def _live(observed: Observed, enabled: EnabledClassifier | None) -> Counts:
    """Its answers since the training, with how many agreed with the model. Of a query that the
    enabled classifier decided the model was not asked: where both agree, the model does as often as
    with the enabled one; where they differ, it counts as differing."""
    expected = 1.0 if enabled is None or enabled.expected is None else enabled.expected
    return Counts(
        observed.answered + observed.beside_answered,
        observed.agreed + observed.beside_agreed * expected,
    )


def _worse_than_enabled(
    config: RoutingConfig,
    enabled: EnabledClassifier | None,
    observed: Observed,
    agreement: Counts,
) -> str | None:
    if config.classifier is None:
        return None
    n = observed.compared + observed.beside
    if n < MIN_COMPARED:
        return f"was compared in {n} decisions; {MIN_COMPARED} are needed"
    own, other = observed.answered + observed.beside_answered, observed.beside
    if own / n < other / n - _COVERAGE_MAY_FALL:
        return (
            f"would have answered {own / n:.1%} of {n} queries, {config.classifier} answered"
            f" {other / n:.1%}; at most {100 * _COVERAGE_MAY_FALL:.0f} points less are accepted"
        )
    if enabled is None or enabled.expected is None or not enabled.answers:
        return None
    z = upper_quantile(config.promotion_alpha)
    spread = _variance(agreement.share, agreement.n) + _variance(enabled.expected, enabled.answers)
    low = agreement.share - enabled.expected - z * sqrt(spread)
    if low < -2 * config.promotion_margin:
        return (
            f"agrees in {agreement.share:.1%}, {config.classifier} in {enabled.expected:.1%}: the"
            f" difference may be {100 * low:.1f} points, {-200 * config.promotion_margin:.1f} are"
            " accepted"
        )
    return None


def _variance(share: float, n: float) -> float:
    return share * (1 - share) / n


def _shown(found: Counts, alpha: float, required: float, made: Classifier, model: str) -> str:
    return (
        f"{made.id} agrees with {model} in {found.share:.1%} of {found.n:.0f} answers, with"
        f" {1 - alpha:.0%} confidence in {found.low(alpha):.1%} at least; {required:.1%} are"
        " required. It is trained again when enough is new."
    )


async def _last_checks(
    services: Services, config: RoutingConfig, made: Classifier, verdict: Verdict
) -> Verdict:
    """The promotion check where there are test labels enough, and the routing tests if they are
    required."""
    try:
        if verdict.basis == HUMAN_LABELS:
            score = await score_stored(services, config, made)
            await check_classifier(services, config, made, score)
        await require_tests(services.db, config, replace(config, classifier=made.id))
    except (ConflictError, InvalidModelError) as error:
        return replace(verdict, passed=False, code="not_passed", reason=str(error))
    return verdict


async def _enable(
    services: Services, config: RoutingConfig, made: Classifier, verdict: Verdict
) -> None:
    """Nothing is stored where the configuration is another by now."""
    now_ms = services.now_ms()
    enabled = EnabledClassifier(
        classifier_id=made.id,
        since_ms=now_ms,
        expected=verdict.agreement.share,
        answers=round(verdict.agreement.n),
        bound=verdict.bound,
        basis=verdict.basis,
    )
    learned = LearnedState(enabled=enabled, disabled=config.stored.learned.disabled)
    change = enable_classifier(made.id, learned, previous=config.classifier, now_ms=now_ms)
    audited = rule_audit_row(
        services,
        action="select",
        resource="classifier",
        resource_id=made.id,
        before=ModelSelection(active=config.classifier, previous=None),
        after=enabled,
    )
    outcome = RuleOutcome(selected=True, previous=config.classifier)
    noted = classifier_store.note_rule_outcome(made.id, outcome)
    try:
        await services.db.batch([*change, audited, noted])
    finally:
        services.routing.forget()
