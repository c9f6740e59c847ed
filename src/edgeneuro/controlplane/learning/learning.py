"""GET /v1/learning: what the router has taught itself, what it would save, and what comes next.
Nothing is started or written here."""

from collections.abc import Mapping
from dataclasses import dataclass

from edgeneuro.call import Call
from edgeneuro.controlplane.learning.classifiers import embedding_gain
from edgeneuro.controlplane.learning.enabling import Verdict, has_test_labels, judge
from edgeneuro.controlplane.learning.growth import MIN_AGENTS, Growth, growth
from edgeneuro.controlplane.learning.traffic import decisions_by_agent
from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.agreement_test import LIMIT, evidence_of
from edgeneuro.domain.analytics import accuracy_of
from edgeneuro.domain.classifier import Classifier
from edgeneuro.domain.learning import (
    HUMAN_LABELS,
    AgentMachineLabels,
    Disabled,
    LearningAgreement,
    LearningReport,
    LearningSavings,
    LearningState,
    NextStep,
    ObservedShare,
    Watch,
)
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.services import Services
from edgeneuro.store import classifiers as store
from edgeneuro.store.learning import (
    ModelDecisions,
    Observed,
    blocks_from_rows,
    read_model_decisions,
    read_observed,
    select_audit_blocks,
)
from edgeneuro.store.sql import rfc3339
from edgeneuro.store.usage import DAY, HOUR
from edgeneuro.synapsecore.beside import observed_classifier
from edgeneuro.synapsecore.watch import bound_of, enabled_state

_DAYS = 30
_CONFIG, _SELECTION = "/v1/config", "/v1/models/select"


@dataclass(frozen=True)
class _Facts:
    """`newest` is the newest training of all agents, `beside` the classifier that runs beside the
    decisions and what was observed of it, `verdict` whether it passes."""

    config: RoutingConfig
    now_ms: int
    newest: Classifier | None
    selected: Classifier | None
    beside: Classifier | None
    observed: Observed
    verdict: Verdict | None
    blocks: list[tuple[int, int]]
    growth: Growth
    decisions: ModelDecisions

    @property
    def disabled(self) -> Disabled | None:
        """While no classifier has been selected since."""
        found = self.config.stored.learned.disabled
        if found is None or self.config.classifier is not None:
            return None
        if found.classifier_id != self.config.stored.learned.newest:
            return None
        return Disabled(
            classifier=found.classifier_id, at=rfc3339(found.at_ms), reason=found.reason
        )

    @property
    def state(self) -> LearningState:
        if self.config.learning == "off":
            return "off"
        if self.config.classifier is not None:
            return "enabled"
        if self.disabled is not None:
            return "disabled"
        if self.beside is not None:
            return "observing"
        running = self.newest is not None and self.newest.state in ("queued", "running")
        return "training" if running else "collecting"


async def show_learning(call: Call) -> LearningReport:
    """Read what the router has taught itself: the classifier that runs beside the model or answers,
    how often it agrees, what that saves, and the next step."""
    facts = await _read(call.services)
    config, savings = facts.config, _savings(facts)
    agreement, watch, step = _agreement(facts), _watch(facts), _next_step(facts)
    observed = facts.observed
    trained = facts.beside or facts.selected or facts.newest
    return LearningReport(
        learning=config.learning,
        state=facts.state,
        sentence=_sentence(facts, agreement, watch, savings, step),
        enabled=config.classifier,
        observed=None if facts.beside is None else facts.beside.id,
        would_have_answered=None
        if facts.beside is None
        else ObservedShare(
            n=observed.compared + observed.beside,
            answered=observed.answered + observed.beside_answered,
            share=_share(observed),
        ),
        agreement=agreement,
        watch=watch,
        disabled=facts.disabled,
        labels=0 if trained is None else trained.labels,
        machine_labels=0 if trained is None else sum(trained.progress.machine_labels.values()),
        machine_labels_by_agent=[] if trained is None else _machine_labels(trained),
        next_training_after=None if config.learning == "off" else facts.growth.missing,
        savings=savings,
        embedding=embedding_gain(call.services, config),
        next_step=step,
    )


async def _read(services: Services) -> _Facts:
    config, db = await services.routing.fresh(), services.db
    now_ms = services.now_ms()
    newest = await store.newest_training(db)
    named = observed_classifier(config)
    beside = None if named is None else await store.find_classifier(db, named)
    observed, verdict = Observed(), None
    if beside is not None:
        observed, _ = await read_observed(db, beside.id)
        shares: Mapping[str, int] = await decisions_by_agent(services, list(config.agents))
        verdict = judge(config, beside, observed, shares)
    selected, blocks = None, []
    if config.classifier is not None:
        selected = await store.find_classifier(db, config.classifier)
        blocks = blocks_from_rows(await db.run(select_audit_blocks(config.classifier)))
    since_ms = now_ms - _DAYS * DAY
    return _Facts(
        config,
        now_ms,
        newest,
        selected,
        beside,
        observed,
        verdict,
        blocks,
        await growth(services, newest),
        await read_model_decisions(db, since_ms=since_ms - since_ms % HOUR),
    )


def _machine_labels(trained: Classifier) -> list[AgentMachineLabels]:
    counts = trained.progress.machine_labels
    return [
        AgentMachineLabels(agent_id=None if agent == NO_AGENT else agent, labels=counts[agent])
        for agent in sorted(counts, key=lambda each: (-counts[each], each))
    ]


def _share(observed: Observed) -> float | None:
    n = observed.compared + observed.beside
    return round((observed.answered + observed.beside_answered) / n, 4) if n else None


def _agreement(facts: _Facts) -> LearningAgreement | None:
    """Of the classifier beside the model, else of the one that answers: precision on test labels
    where there are enough, else agreement with the model."""
    made = facts.beside or facts.selected
    if made is None:
        return None
    score = made.test_score
    if score is not None and has_test_labels(facts.config, score) and score.answered:
        return _interval(HUMAN_LABELS, score.answered, score.right)
    observed = facts.observed
    if facts.beside is not None and observed.answered:
        return _interval(_of_model(facts), observed.answered, observed.agreed)
    if facts.beside is None and facts.blocks:
        samples, agreed = (sum(column) for column in zip(*facts.blocks, strict=True))
        return _interval(_of_model(facts), samples, agreed)
    return None


def _of_model(facts: _Facts) -> str:
    return f"agreement with {facts.config.active.id}"


def _interval(basis: str, n: int, right: int) -> LearningAgreement:
    found = accuracy_of(right, n)
    return LearningAgreement(
        basis=basis, n=n, agreed=right, share=found.accuracy, low=found.low, high=found.high
    )


def _watch(facts: _Facts) -> Watch | None:
    if facts.config.classifier is None:
        return None
    bound, enabled = bound_of(facts.config), enabled_state(facts.config)
    return Watch(
        samples=sum(samples for samples, _ in facts.blocks),
        agreed=sum(agreed for _, agreed in facts.blocks),
        expected=None
        if enabled is None or enabled.expected is None
        else round(enabled.expected, 4),
        bound=round(bound, 4),
        evidence=float(f"{evidence_of(facts.blocks, bound):.3g}"),
        limit=LIMIT,
    )


def _savings(facts: _Facts) -> LearningSavings | None:
    """Of the last 30 days, or since the first decision."""
    decisions, selected = facts.decisions, facts.config.classifier is not None
    share = None if facts.beside is None or selected else _share(facts.observed)
    if decisions.first is None or not (selected or share):
        return None
    days = max(facts.now_ms - decisions.first, HOUR) / DAY
    calls = decisions.by_classifier if selected else round((share or 0.0) * decisions.by_model)
    mean = decisions.cost_usd / decisions.priced if decisions.priced else None
    cost = None if mean is None else calls * mean
    return LearningSavings(
        would_be=not selected,
        days=round(days, 2),
        model_calls=calls,
        cost_usd=None if cost is None else round(cost, 6),
        cost_usd_a_month=None if cost is None else round(cost / days * _DAYS, 6),
    )


def _next_step(facts: _Facts) -> NextStep:
    config, newest, verdict = facts.config, facts.newest, facts.verdict
    if config.learning == "off":
        text = "Learning is off. Set `learning` to observe: nothing is enabled by itself then."
        return _change("turn_on", text, {"learning": "observe"})
    if len(config.agents) < MIN_AGENTS:
        return NextStep(code="no_agents", text="Create at least two agents to choose between.")
    if (step := _of_enabled(facts)) is not None:
        return step
    if facts.beside is not None and verdict is not None:
        return _of_beside(facts, facts.beside, verdict)
    if newest is not None and newest.state in ("queued", "running"):
        return NextStep(code="wait_for_training", text=f"{newest.id} is being trained.")
    if config.classifier is not None:
        return NextStep(code="none", text=f"Nothing to do. {_more(facts)}")
    if newest is not None and newest.state == "failed":
        why = newest.error or "it failed"
        return NextStep(
            code="training_failed",
            text=f"The last training made no classifier: {why} {_more(facts)}",
        )
    if not config.log_queries:
        return NextStep(
            code="texts_are_not_stored",
            text="Texts are not stored (`log_queries`), so it can learn from labels alone."
            f" {_more(facts)}",
        )
    return NextStep(code="collect", text=_more(facts))


def _of_enabled(facts: _Facts) -> NextStep | None:
    """If the audit samples of the selected classifier say that it must not answer, and nothing
    disables it by itself."""
    config = facts.config
    if config.classifier is None or config.learning == "on":
        return None
    bound = bound_of(config)
    if evidence_of(facts.blocks, bound) < LIMIT:
        return None
    samples, agreed = (sum(column) for column in zip(*facts.blocks, strict=True))
    return NextStep(
        code="agreement_fell",
        text=f"{config.classifier} agrees with {config.active.id} in {agreed} of {samples} audit"
        f" samples; at least {bound:.1%} should. Deselect it, or label the questions that differ.",
        method="POST",
        path=_SELECTION,
        body={"model_id": None, "type": "classifier"},
    )


def _of_beside(facts: _Facts, made: Classifier, verdict: Verdict) -> NextStep:
    config = facts.config
    if verdict.code == "no_audit_samples":
        return _change(verdict.code, verdict.reason, {"audit_sample_share": 0.02})
    if not verdict.passed:
        return NextStep(code=verdict.code, text=verdict.reason)
    if made.id <= config.stored.learned.newest:
        return NextStep(
            code="not_passed",
            text=f"{made.id} was enabled before and is not enabled again by itself. {_more(facts)}",
            method="POST",
            path=_SELECTION,
            # Without test labels enough the promotion check says no more than that.
            body={"model_id": made.id}
            | ({} if has_test_labels(config, made.test_score) else {"check": False}),
        )
    if config.learning == "on":
        checks = "the promotion check and the routing tests allow it"
        return NextStep(code="none", text=f"{made.id} is enabled within a minute, if {checks}.")
    text = f"{made.id} has passed. Set `learning` to on to enable it and what comes after it."
    return _change("enable", text, {"learning": "on"})


def _change(code: str, text: str, body: dict[str, object]) -> NextStep:
    return NextStep.model_validate(
        {"code": code, "text": text, "method": "PATCH", "path": _CONFIG, "body": body}
    )


def _more(facts: _Facts) -> str:
    missing = facts.growth.missing
    if missing:
        return f"A training begins after {missing} more labels or decisions of the model."
    if facts.now_ms < facts.growth.not_before_ms:
        return f"A training begins at {rfc3339(facts.growth.not_before_ms)}."
    return "A training begins within a minute."


def _sentence(
    facts: _Facts,
    agreement: LearningAgreement | None,
    watch: Watch | None,
    savings: LearningSavings | None,
    step: NextStep,
) -> str:
    """One line for the Overview."""
    if facts.state == "disabled" and facts.disabled is not None:
        return f"{facts.disabled.classifier} was disabled: {facts.disabled.reason}"
    if facts.state == "observing" and facts.observed.compared and agreement is not None:
        of = "precision" if agreement.basis == HUMAN_LABELS else "agreement"
        share, saved = _share(facts.observed) or 0.0, _money(savings)
        text = f"Would have answered {share:.0%} at {agreement.share or 0.0:.1%} {of}{saved}"
        return f"{text}: enable" if step.code == "enable" else f"{text}. {step.text}"
    if facts.state == "enabled" and step.code in ("none", "observe_more", "not_passed"):
        decisions = facts.decisions
        both = decisions.by_classifier + decisions.by_model
        share = decisions.by_classifier / both if both else 0.0
        seen = ""
        if watch is not None and watch.samples:
            seen = f", {watch.agreed} of {watch.samples} audit samples agree"
        return f"The classifier answers {share:.0%} without a model{seen}{_money(savings)}."
    return step.text


def _money(savings: LearningSavings | None) -> str:
    if savings is None or savings.cost_usd_a_month is None:
        return ""
    amount = savings.cost_usd_a_month
    shown = f"${amount:,.0f}" if amount >= 10 else f"${amount:,.2f}"
    return f", {shown} a month saved"
