"""The promotion check of a classifier: its answers on the test part must be shown to reach the
target, less a margin."""

import hashlib
import json

from edgeneuro.classifier.scorer import Scorer
from edgeneuro.controlplane.learning.traffic import decisions_by_agent, with_traffic
from edgeneuro.controlplane.models.promotion_check import check_failed, require_enough
from edgeneuro.domain.analytics import accuracy_of
from edgeneuro.domain.classifier import (
    AgentTestScore,
    AgentThreshold,
    Classifier,
    ClassifierScore,
    TrainingMetrics,
)
from edgeneuro.domain.model import ClassifierCheck
from edgeneuro.domain.router_names import DEFAULT_ROUTER
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.statistics import answers_needed, share_lower_bound
from edgeneuro.services import Services
from edgeneuro.store import classifiers as store
from edgeneuro.store.classifiers import count_other_scores, find_classifier
from edgeneuro.store.database import Row
from edgeneuro.store.datasets import PAGE_ROWS, count_test_labels, test_questions
from edgeneuro.store.evaluations import count_test_evaluations
from edgeneuro.store.sql import rfc3339
from edgeneuro.synapsecore.rankers.classifier import classifier_decision, judge_stored, read_scorer

# Why a classifier answers less than the selected one.

_OUT_OF_SCOPE_DECIDES = (
    "; its threshold is the one that keeps out-of-scope questions away, more labels of which would"
    " make it surer"
)
_MAX_AGENTS = 5  # named
_MIN_SHARE = 0.02  # of an agent's test questions, which a change of less does not name


def coverage_fell(
    score: ClassifierScore,
    made: Classifier,
    selected: Classifier,
    selected_score: ClassifierScore,
) -> str | None:
    """Says how far the coverage of the test part is below that of the selected classifier, and of
    which agents for what reason; None where it is not below. `made` has `per_agent` and `metrics`
    already."""
    per_agent = made.per_agent or []
    coverage, before = score.shown.coverage or 0.0, selected_score.shown.coverage or 0.0
    if coverage >= before:
        return None
    old = {each.agent_id: each for each in selected.per_agent or ()}
    shares = {each.agent_id: each.answered / each.n for each in selected_score.agents if each.n}
    own = {each.agent_id: each.answered / each.n for each in score.agents if each.n}
    lost = {
        each.agent_id: shares[each.agent_id] - own[each.agent_id]
        for each in per_agent
        if each.agent_id in shares and each.agent_id in own
    }
    why = [
        f"{each.agent_id} {shares[each.agent_id]:.0%} to {own[each.agent_id]:.0%}"
        f", {_reason(each, old.get(each.agent_id))}"
        for each in sorted(per_agent, key=lambda each: -lost.get(each.agent_id, 0.0))
        if lost.get(each.agent_id, 0.0) >= _MIN_SHARE
    ]
    return (
        f"it answers {coverage:.1%} of the test questions, the selected {selected.id} {before:.1%}"
        + (f" ({'; '.join(why[:_MAX_AGENTS])})" if why else "")
        + (_OUT_OF_SCOPE_DECIDES if _out_of_scope_decides(made.metrics or {}) else "")
    )


def _out_of_scope_decides(metrics: TrainingMetrics) -> bool:
    threshold = metrics.get("threshold")
    return threshold is not None and threshold == metrics.get("out_of_scope_threshold")


def _reason(now: AgentThreshold, before: AgentThreshold | None) -> str:
    if now.threshold is None:
        return now.reason or "never answered"
    if before is None or before.threshold is None or before.threshold >= now.threshold:
        return "less sure"
    return f"answered from {now.threshold:.1%} on, before from {before.threshold:.1%}"


# A classifier on the test part: questions whose labels chose neither its weights nor its
# thresholds, so the figure that decides a promotion comes from here.

MAX_QUESTIONS = 5_000
_COUNTING = "by agent"  # a score that was counted otherwise is made again
# Other requests get their turn after so many questions, about 50 ms.
_QUESTIONS_A_STEP, _PAUSE_SECONDS = 100, 0.01


async def config_of(services: Services, classifier: Classifier) -> RoutingConfig:
    """The configuration of the router that it was trained for. Raises ValueError if the router was
    deleted."""
    router = classifier.options.router or DEFAULT_ROUTER
    config = (await services.routing.fresh()).for_router(router)
    if config is None:
        raise ValueError(f"the router {router!r} was deleted")
    return config


async def score_stored(
    services: Services, config: RoutingConfig, classifier: Classifier
) -> ClassifierScore:
    """The score of a classifier that has succeeded. It is scored once; again only if the test part,
    the agents or the threshold have changed since. Raises InvalidModelError if it is damaged."""
    decisions = await decisions_by_agent(services, list(config.agents))
    if not await _outdated(services, config, classifier):
        assert classifier.test_score is not None
        return with_traffic(classifier.test_score, decisions)
    scorer = await read_scorer(services, classifier.id, config)
    score = await score_on_test_part(services, config, scorer, classifier)
    score = with_traffic(score, decisions)
    await services.db.run(store.store_score(classifier.id, score))
    return score


async def score_on_test_part(
    services: Services,
    config: RoutingConfig,
    scorer: Scorer,
    classifier: Classifier,
) -> ClassifierScore:
    """Asks the classifier each question of the test part, near-duplicates once, as the router
    would: at the threshold in force, and for enabled agents only. Questions that were chosen
    because they are hard count only while the others are too few for a promotion check."""
    before = classifier.test_score
    basis, hard = await _basis(services, config, classifier)
    counts = _Counts()
    after = ""
    while counts.n < MAX_QUESTIONS:
        page = await test_questions(services.db, list(config.agents), after, hard=hard)
        for at in range(0, len(page), _QUESTIONS_A_STEP):
            for row in page[at : at + _QUESTIONS_A_STEP]:
                counts.add(row, classifier_decision(judge_stored(scorer, row, config), config))
            await services.sleep(_PAUSE_SECONDS)
        if len(page) < PAGE_ROWS:
            break
        after = page[-1]["near_hash"]
    return counts.score(
        basis=basis,
        looks=1 + (0 if before is None else before.looks),
        scored_at=rfc3339(services.now_ms()),
    )


class _Counts:
    def __init__(self) -> None:
        self.n = self.out_of_scope = self.answered = self.right = self.false_accepts = 0
        self._agents: dict[str | None, AgentTestScore] = {}

    def add(self, row: Row, answer: str | None) -> None:
        label = row["agent_id"]
        outside = label is None
        own = self._agents.setdefault(
            label, AgentTestScore(agent_id=label, n=0, answered=0, right=0)
        )
        own.n += 1
        self.n += 1
        self.out_of_scope += outside
        if answer is not None:
            self.answered += 1
            self.right += answer == label
            own.answered += 1
            own.right += answer == label
            self.false_accepts += outside

    def score(self, *, basis: str, looks: int, scored_at: str) -> ClassifierScore:
        inside = self.n - self.out_of_scope
        precision = accuracy_of(self.right, self.answered)
        return ClassifierScore(
            n=self.n,
            out_of_scope=self.out_of_scope,
            answered=self.answered,
            right=self.right,
            false_accepts=self.false_accepts,
            precision=precision.accuracy,
            low=precision.low,
            high=precision.high,
            coverage=round((self.answered - self.false_accepts) / inside, 6) if inside else None,
            looks=looks,
            scored_at=scored_at,
            basis=basis,
            agents=sorted(self._agents.values(), key=lambda own: own.agent_id or ""),
        )


async def _outdated(services: Services, config: RoutingConfig, classifier: Classifier) -> bool:
    score = classifier.test_score
    return score is None or score.basis != (await _basis(services, config, classifier))[0]


async def _basis(
    services: Services, config: RoutingConfig, classifier: Classifier
) -> tuple[str, bool]:
    """Names what beside the classifier decides its score, and says whether hard questions count."""
    labels, state, fair = await count_test_labels(services.db)
    hard = fair < config.promotion_min_labels
    agents = sorted(config.agents)
    facts = [labels, state, agents, config.confidence_threshold, hard, _COUNTING]
    if config.joined(classifier.agents):  # it knows these by their texts
        facts.append(config.agents_revision)
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16], hard


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
    selected, this one, or one that was trained for another router. Raises InvalidModelError if it
    is damaged."""
    if config.classifier is None or config.classifier == classifier.id:
        return None
    selected = await find_classifier(services.db, config.classifier)
    if selected is None or selected.options.router != classifier.options.router:
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
