"""Drift of the selected classifier, and its part of the analytics: shares by day, from the sums by
period that analytics reads."""

from collections.abc import Iterable, Mapping, Sequence
from math import log, sqrt

from edgeneuro.domain.analytics import accuracy_of
from edgeneuro.domain.classifier import Classifier
from edgeneuro.domain.drift import (
    AgentMix,
    ClassifierAnalytics,
    ClassifierDay,
    ClassifierShares,
    Disagreement,
    Drift,
    DriftAlert,
    DriftWindow,
    Window,
)
from edgeneuro.store.analytics import UsageRead
from edgeneuro.store.database import Row
from edgeneuro.store.drift import WindowRead
from edgeneuro.store.sql import rfc3339
from edgeneuro.store.usage import DAY

# Drift: whether the questions of the last hour, day or week are still those that the selected
# classifier was trained for.
#
# | figure | compared with | alert |
# | --- | --- | --- |
# | abstained | its held-out labels | a higher share |
# | out_of_scope | its labels | a higher share |
# | agents | the 7 days before the window, or its labels | PSI 0.25 or more, and a chi-square test |
# | disagreement | nothing | the lower bound (95 %, Wilson) of the rate is over 10 % |
#
# A share counts as higher from 50 questions on, by more than 4 standard errors and 5 points; the
# chi-square test asks for 4 standard deviations. Over all figures and windows chance exceeds them
# less than once in 2,000 looks. A share that is lower is no alert: less of what is not known does
# no harm.

MIN_ASKED = 50
MIN_BEFORE = 200  # questions before a window, from which on its agents are compared with those
MIN_COMPARED = 10  # audit samples
_STANDARD_ERRORS = 4
_POINTS = 0.05
_PSI = 0.25  # from here on a population is commonly said to have changed
_MIN_SHARE = 0.01
_MAX_DISAGREEMENT = 0.10  # the model errs too
_MIN_EXPECTED = 5.0  # of an agent in the window; rarer ones are compared together
_NAMES: dict[Window, str] = {"1h": "hour", "24h": "24 hours", "7d": "7 days"}


def compare_windows(selected: Classifier, windows: Mapping[str, WindowRead]) -> Drift:
    labels = _labels(selected)
    out_of_scope = None if labels is None else share(labels.get("", 0), sum(labels.values()))
    drift = Drift(
        classifier=selected.id,
        training_abstained_share=_abstained(selected, out_of_scope),
        training_out_of_scope_share=out_of_scope,
        windows=[_window(name, windows[name], labels or {}) for name in _NAMES],
        alerts=[],
    )
    held_out = int((selected.metrics or {}).get("held_out") or 0)
    for window in drift.windows:
        drift.alerts += _alerts(drift, window, held_out=held_out, labels=selected.labels)
    return drift


def share(part: float, whole: float) -> float | None:
    return round(part / whole, 6) if whole else None


def disagreement(compared: int, differing: int) -> Disagreement:
    found = accuracy_of(differing, compared)
    return Disagreement(
        compared=found.labelled,
        differing=found.right,
        rate=found.accuracy,
        low=found.low,
        high=found.high,
    )


def _labels(selected: Classifier) -> dict[str, int] | None:
    """What it has learned from, by agent; "" is for those that no agent fits."""
    if selected.per_agent is None:
        return None
    found = {agent.agent_id: agent.labels for agent in selected.per_agent}
    return {**found, "": max(selected.labels - sum(found.values()), 0)}


def _abstained(selected: Classifier, out_of_scope: float | None) -> float | None:
    """Of held-out labels, those of agents and those that no agent fits in the training's
    proportions, what it would have passed on."""
    metrics = selected.metrics or {}
    coverage, accepted = metrics.get("coverage"), metrics.get("false_accept_rate") or 0.0
    if coverage is None or out_of_scope is None:
        return None
    return round(1 - coverage * (1 - out_of_scope) - accepted * out_of_scope, 6)


def _window(name: Window, read: WindowRead, labels: Mapping[str, int]) -> DriftWindow:
    abstained = read.asked - read.answered
    return DriftWindow(
        window=name,
        start=rfc3339(read.start),
        asked=read.asked,
        abstained=abstained,
        abstained_share=share(abstained, read.asked),
        out_of_scope=read.out_of_scope,
        out_of_scope_share=share(read.out_of_scope, read.asked),
        agents=_mix(read, labels),
        disagreement=disagreement(read.compared, read.differing),
    )


def _mix(read: WindowRead, labels: Mapping[str, int]) -> AgentMix:
    """Among the questions that fit an agent: the others are `out_of_scope`."""
    present, before = _of_agents(read.agents), _of_agents(read.agents_before)
    enough = sum(before.values()) >= MIN_BEFORE
    if not enough:
        before = _of_agents(labels)
    mix = AgentMix(
        compared_with="previous" if enough else "training_labels",
        compared=sum(before.values()),
    )
    now, then = sum(present.values()), mix.compared
    if now < MIN_ASKED or then < MIN_ASKED:
        return mix
    counts = {
        agent: (present.get(agent, 0), before.get(agent, 0))
        for agent in sorted({*present, *before})
    }
    most = max(counts, key=lambda agent: abs(counts[agent][0] / now - counts[agent][1] / then))
    pairs = _pooled([*counts.values()])
    return mix.model_copy(
        update={
            "psi": round(_psi(pairs), 4),
            "z": round(_chi_square_z(pairs), 2),
            "agent_id": most,
            "now": share(counts[most][0], now),
            "before": share(counts[most][1], then),
        }
    )


def _of_agents(counts: Mapping[str, int]) -> dict[str, int]:
    return {agent: count for agent, count in counts.items() if agent}


_Pairs = list[tuple[int, int]]


def _pooled(counts: Sequence[tuple[int, int]]) -> _Pairs:
    """Rare agents together: of few a chi-square test says nothing."""
    now, then = (sum(column) for column in zip(*counts, strict=True))
    expected = now / (now + then)
    pairs = [pair for pair in counts if sum(pair) * expected >= _MIN_EXPECTED]
    rare = [pair for pair in counts if sum(pair) * expected < _MIN_EXPECTED]
    if rare:
        pairs.append((sum(one for one, _ in rare), sum(other for _, other in rare)))
    return pairs


def _psi(pairs: _Pairs) -> float:
    """The population stability index; a smaller share counts as 1 %, since 0 has no logarithm."""
    now, then = (sum(column) for column in zip(*pairs, strict=True))
    shares = [(max(one / now, _MIN_SHARE), max(other / then, _MIN_SHARE)) for one, other in pairs]
    return float(sum((one - other) * log(one / other) for one, other in shares))


def _chi_square_z(pairs: _Pairs) -> float:
    """The chi-square statistic of the two samples as standard deviations (Wilson-Hilferty)."""
    freedom = len(pairs) - 1
    if not freedom:
        return 0.0
    sums = [sum(column) for column in zip(*pairs, strict=True)]
    total, statistic = sum(sums), 0.0
    for pair in pairs:
        for seen, column in zip(pair, sums, strict=True):
            expected = sum(pair) * column / total
            if expected:
                statistic += (seen - expected) ** 2 / expected
    spread = 2 / (9 * freedom)
    root: float = (statistic / freedom) ** (1 / 3)
    found: float = (root - (1 - spread)) / sqrt(spread)
    return found


def _alerts(drift: Drift, window: DriftWindow, *, held_out: int, labels: int) -> list[DriftAlert]:
    name, found = _NAMES[window.window], []
    before = drift.training_abstained_share
    if _rose(window.abstained, window.asked, before, held_out):
        text = (
            f"passed {window.abstained_share:.1%} of {window.asked} questions on to the model, at"
            f" its training {before:.1%}. Label recent questions and train another one."
        )
        found.append(DriftAlert(window=window.window, figure="abstained", text=text))
    before = drift.training_out_of_scope_share
    if _rose(window.out_of_scope, window.asked, before, labels):
        text = (
            f"was asked {window.asked} questions of which {window.out_of_scope_share:.1%} fit no"
            f" agent, at its training {before:.1%}. Label recent questions, or add an agent."
        )
        found.append(DriftAlert(window=window.window, figure="out_of_scope", text=text))
    mix = window.agents
    if mix.psi is not None and mix.psi >= _PSI and (mix.z or 0) > _STANDARD_ERRORS:
        then = "in the 7 days before" if mix.compared_with == "previous" else "among its labels"
        text = (
            f"was asked other questions than before: {mix.agent_id} has {mix.now:.1%} of them,"
            f" {then} {mix.before:.1%} (PSI {mix.psi:.2f}). See whether one caller asks them; if"
            " they are to stay, label a random sample and train another one."
        )
        found.append(DriftAlert(window=window.window, figure="agents", text=text))
    seen = window.disagreement
    if seen.compared >= MIN_COMPARED and (seen.low or 0) > _MAX_DISAGREEMENT:
        text = (
            f"gave {seen.compared} answers that were put to the model too, which differed from"
            f" {seen.rate:.1%} of them (at least {seen.low:.1%}). Label these questions: the label"
            " queue has them."
        )
        found.append(DriftAlert(window=window.window, figure="disagreement", text=text))
    return [
        alert.model_copy(update={"text": f"In the last {name} the classifier {alert.text}"})
        for alert in found
    ]


def _rose(part: int, count: int, before: float | None, count_before: int) -> bool:
    if before is None or count < MIN_ASKED or not count_before:
        return False
    both = (part + before * count_before) / (count + count_before)
    error = sqrt(both * (1 - both) * (1 / count + 1 / count_before))
    return part / count - before > max(_STANDARD_ERRORS * error, _POINTS)


_COUNTED = {
    "requests": "answers",
    "asked": "classifier_asked",
    "answered": "classifier_answers",
    "out_of_scope": "out_of_scope_answers",
}


def classifier_analytics(
    read: UsageRead,
    selected: Classifier | None,
    windows: Mapping[str, WindowRead],
    *,
    start: int,
    stop: int,
) -> ClassifierAnalytics:
    """`windows` are those of the selected classifier, up to `stop`."""
    days: dict[int, list[Row]] = {day: [] for day in range(start - start % DAY, stop, DAY)}
    for row in read.periods:
        days[row["place"] - row["place"] % DAY].append(row)
    drift = None if selected is None else compare_windows(selected, windows)
    return ClassifierAnalytics(
        **_shares(read.periods).model_dump(),
        days=[
            ClassifierDay(start=rfc3339(max(day, start)), **_shares(rows).model_dump())
            for day, rows in days.items()
        ],
        disagreement=disagreement(
            read.audit_samples[0]["compared"], read.audit_samples[0]["differing"]
        ),
        drift=drift,
        alert=_first_alert(drift),
    )


def _first_alert(drift: Drift | None) -> str | None:
    return drift.alerts[0].text if drift is not None and drift.alerts else None


def _shares(rows: Iterable[Row]) -> ClassifierShares:
    found = list(rows)
    counts = {name: sum(row[column] for row in found) for name, column in _COUNTED.items()}
    return ClassifierShares(
        **counts,
        abstained=counts["asked"] - counts["answered"],
        answered_share=share(counts["answered"], counts["asked"]),
        out_of_scope_share=share(counts["out_of_scope"], counts["requests"]),
    )
