"""Why a classifier answers less than the selected one."""

from edgeneuro.domain.classifier import AgentThreshold, Classifier, ClassifierScore, Metrics

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


def _out_of_scope_decides(metrics: Metrics) -> bool:
    threshold = metrics.get("threshold")
    return threshold is not None and threshold == metrics.get("out_of_scope_threshold")


def _reason(now: AgentThreshold, before: AgentThreshold | None) -> str:
    if now.threshold is None:
        return now.reason or "never answered"
    if before is None or before.threshold is None or before.threshold >= now.threshold:
        return "less sure"
    return f"answered from {now.threshold:.1%} on, before from {before.threshold:.1%}"
